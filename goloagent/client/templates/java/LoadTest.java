import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A load test in Java 17, without libraries: each journey of a user is one GET.
 *
 * <p>The job has "drive": "jsonrpc". build.sh makes one executable file of it.
 */
public final class LoadTest {
    private static final String URL = env("TARGET", "http://127.0.0.1:8000/");

    static {
        // HttpClient would repeat a request by itself if the server closes the connection.
        System.setProperty("jdk.httpclient.redirects.retrylimit", "1");
        System.setProperty("jdk.httpclient.disableRetryConnect", "");
    }

    // Connections are kept open. By HTTP/2 all users would share one.
    private static final HttpClient CLIENT =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final HttpRequest REQUEST =
            HttpRequest.newBuilder(URI.create(URL)).timeout(Duration.ofSeconds(30)).build();
    private static final Pattern ID = Pattern.compile("\"id\":(\\d+)");
    // Not System.out, whose buffer would delay and split lines.
    private static final OutputStream STDOUT = new FileOutputStream(FileDescriptor.out);
    private static final AtomicLong JOURNEYS = new AtomicLong();

    private LoadTest() {}

    /** One journey of one user. It is called repeatedly and concurrently; an exception fails the call. */
    private static void run() throws IOException, InterruptedException {
        long journey = JOURNEYS.incrementAndGet();
        int status = 0;
        int size = -1;
        IOException error = null;
        long start = System.nanoTime();
        try {
            var response = CLIENT.send(REQUEST, BodyHandlers.ofByteArray());
            status = response.statusCode();
            size = response.body().length;
        } catch (IOException failure) {
            error = failure;
        }
        long nanoseconds = System.nanoTime() - start;
        // A failed request is reported too.
        report(String.format(
                "{\"sequenceID\":\"%d\",\"url\":%s,\"method\":\"GET\",\"status\":%d,\"size\":%d,"
                        + "\"timestamp\":\"%s\",\"duration\":%d,\"error\":%s}\n",
                journey, quote(URL), status, size, Instant.now(), nanoseconds,
                error == null ? "null" : quote(describe(error))));
        if (error != null) {
            throw error;
        }
        if (status >= 400) {
            throw new IOException("GET " + URL + ": status " + status);
        }
    }

    /** Returns the first cause of an exception: HttpClient wraps it. */
    private static String describe(Throwable error) {
        Throwable cause = error.getCause();
        return cause == null ? error.toString() : describe(cause);
    }

    /** Prints a line in one piece. */
    private static void report(String line) throws IOException {
        synchronized (STDOUT) {
            STDOUT.write(line.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Formats a text as a JSON string. */
    private static String quote(String text) {
        var quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ' || Character.isSurrogate(c)) {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    private static String env(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** Runs each call in a thread and replies to it: {"method":"Server.Run","params":[{}],"id":7}. */
    public static void main(String[] args) throws IOException {
        String address = env("GOLO_RPC_ADDR", "127.0.0.1:9999");
        int colon = address.lastIndexOf(':');
        InetAddress host = InetAddress.getByName(address.substring(0, colon));
        int port = Integer.parseInt(address.substring(colon + 1));
        ExecutorService users = Executors.newCachedThreadPool();
        try (ServerSocket listener = new ServerSocket(port, 1, host);
                Socket agent = listener.accept();
                BufferedReader calls = new BufferedReader(
                        new InputStreamReader(agent.getInputStream(), StandardCharsets.UTF_8))) {
            agent.setTcpNoDelay(true);
            OutputStream replies = agent.getOutputStream();
            for (String call; (call = calls.readLine()) != null; ) {
                Matcher id = ID.matcher(call);
                if (!id.find()) {
                    throw new IOException("not a call: " + call);
                }
                users.execute(() -> answer(id.group(1), replies));
            }
        }
        System.exit(0);
    }

    private static void answer(String id, OutputStream replies) {
        String error = "null";
        try {
            run();
        } catch (Exception failure) {
            error = quote(describe(failure));
        }
        String reply = "{\"id\":" + id + ",\"result\":{},\"error\":" + error + "}\n";
        try {
            synchronized (replies) {
                replies.write(reply.getBytes(StandardCharsets.UTF_8));
            }
        } catch (IOException closed) {
            System.err.println("no reply to call " + id + ": " + closed);
        }
    }
}
