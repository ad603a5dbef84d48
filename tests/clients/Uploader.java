// Sends a file as the body of requests, and prints a line for each answer: its status, a space and
// its body; or "error: " and why there is none.
//
// Usage: java Uploader urlconnection|httpclient URL FILE length|chunked TRIES [HEADER…]

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

public class Uploader {
    private static final SSLContext TRUSTING = trusting();

    public static void main(String[] arguments) throws IOException {
        String url = arguments[1];
        byte[] body = Files.readAllBytes(Path.of(arguments[2]));
        boolean chunked = arguments[3].equals("chunked");
        for (int tries = Integer.parseInt(arguments[4]); tries > 0; tries--) {
            try {
                System.out.println(arguments[0].equals("urlconnection")
                    ? byUrlConnection(url, body, chunked, arguments)
                    : byHttpClient(url, body, chunked, arguments));
            } catch (Exception error) {
                System.out.println("error: " + error);
            }
        }
    }

    private static String byUrlConnection(
            String url, byte[] body, boolean chunked, String[] arguments) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        if (connection instanceof HttpsURLConnection secure) {
            secure.setSSLSocketFactory(TRUSTING.getSocketFactory());
            secure.setHostnameVerifier((name, session) -> true);
        }
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        for (int i = 5; i < arguments.length; i++) {
            String[] header = arguments[i].split(": ", 2);
            connection.setRequestProperty(header[0], header[1]);
        }
        if (chunked) {
            connection.setChunkedStreamingMode(65536);
        }
        try (OutputStream output = connection.getOutputStream()) {
            output.write(body);
        }
        int status = connection.getResponseCode();
        try (InputStream input = status < 400
                ? connection.getInputStream() : connection.getErrorStream()) {
            if (input == null) { // which it hides for a 401 to a body that it cannot repeat
                return status + " " + connection.getResponseMessage();
            }
            return status + " " + new String(input.readAllBytes()).strip();
        }
    }

    private static String byHttpClient(
            String url, byte[] body, boolean chunked, String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
            .sslContext(TRUSTING).build();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).POST(chunked
            ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
            : BodyPublishers.ofByteArray(body));
        for (int i = 5; i < arguments.length; i++) {
            String[] header = arguments[i].split(": ", 2);
            request.header(header[0], header[1]);
        }
        HttpResponse<String> response =
            client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        return response.statusCode() + " " + response.body().strip();
    }

    private static SSLContext trusting() {
        System.setProperty("jdk.internal.httpclient.disableHostnameVerification", "true");
        System.setProperty("sun.net.http.allowRestrictedHeaders", "true");
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, new TrustManager[] {new X509TrustManager() {
                @Override public void checkClientTrusted(X509Certificate[] chain, String type) { }

                @Override public void checkServerTrusted(X509Certificate[] chain, String type) { }

                @Override public X509Certificate[] getAcceptedIssuers() {
                    return new X509Certificate[0];
                }
            }}, new SecureRandom());
            return context;
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }
}
