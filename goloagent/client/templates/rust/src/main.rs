//! A load test in Rust, with the standard library only: each journey of a user is one GET.
//!
//! The job has "drive": "jsonrpc". Each user has a thread with a connection of its own, which is
//! kept open. The standard library has no HTTP: `Client` is what a GET needs. For more, and for
//! https, add a crate such as ureq to Cargo.toml and call it in `run`.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

static JOURNEYS: AtomicUsize = AtomicUsize::new(0);
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

/// One journey of one user. It is called repeatedly and concurrently; an error fails the call.
fn run(client: &mut Client) -> Result<(), String> {
    let journey = JOURNEYS.fetch_add(1, Ordering::Relaxed);
    let start = Instant::now();
    let response = client.get();
    let nanoseconds = start.elapsed().as_nanos();
    let (status, size, error) = match &response {
        Ok((status, size)) => (*status, *size as i64, "null".to_string()),
        Err(error) => (0, -1, quote(&error.to_string())),
    };
    // A failed request is reported too.
    report(&format!(
        "{{\"sequenceID\":\"{journey}\",\"url\":{},\"method\":\"GET\",\"status\":{status},\
         \"size\":{size},\"timestamp\":\"{}\",\"duration\":{nanoseconds},\"error\":{error}}}\n",
        quote(&client.url),
        rfc3339(SystemTime::now()),
    ));
    match response {
        Err(error) => Err(error.to_string()),
        Ok((status, _)) if status >= 400 => Err(format!("GET {}: status {status}", client.url)),
        Ok(_) => Ok(()),
    }
}

/// Prints a line in one piece.
fn report(line: &str) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes()).expect("stdout is open");
    stdout.flush().expect("stdout is open");
}

/// Sends GET of one URL, over one connection while the server keeps it open.
struct Client {
    url: String,
    address: String,
    request: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(url: &str) -> Result<Client, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or(format!("{url} is not an http:// URL"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        let has_port = host.rsplit(']').next().unwrap_or(host).contains(':');
        Ok(Client {
            url: url.to_string(),
            address: if has_port {
                host.to_string()
            } else {
                format!("{host}:80")
            },
            request: format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            connection: None,
        })
    }

    /// Returns the status and the bytes of the body. After an error, the next call connects anew.
    fn get(&mut self) -> io::Result<(u16, u64)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.get_mut().write_all(self.request.as_bytes())?;
        let status_line = read_line(&mut connection)?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(&status_line))?;
        let (mut length, mut chunked, mut close) = (None, false, false);
        loop {
            let line = read_line(&mut connection)?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
            match (name, value.trim()) {
                ("content-length", value) => {
                    length = Some(value.parse().map_err(|_| invalid(value))?)
                }
                ("transfer-encoding", value) => chunked = value.ends_with("chunked"),
                ("connection", value) => close = value == "close",
                _ => {}
            }
        }
        let size = if chunked {
            read_chunks(&mut connection)?
        } else if let (204 | 304, _) | (_, Some(0)) = (status, length) {
            0
        } else if let Some(length) = length {
            skip(&mut connection, length)?
        } else {
            close = true;
            io::copy(&mut connection, &mut io::sink())?
        };
        if !close {
            self.connection = Some(connection);
        }
        Ok((status, size))
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(BufReader::new(stream))
    }
}

fn read_line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_string())
}

fn read_chunks(connection: &mut impl BufRead) -> io::Result<u64> {
    let mut size = 0;
    loop {
        let line = read_line(connection)?;
        let digits = line.split(';').next().unwrap_or("").trim();
        let length = u64::from_str_radix(digits, 16).map_err(|_| invalid(&line))?;
        if length == 0 {
            while !read_line(connection)?.is_empty() {} // trailers
            return Ok(size);
        }
        size += skip(connection, length)?;
        read_line(connection)?;
    }
}

fn skip(connection: &mut impl BufRead, length: u64) -> io::Result<u64> {
    if io::copy(&mut connection.take(length), &mut io::sink())? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(length)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {text:?}"))
}

/// Formats a text as a JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Formats a time in UTC, such as 2026-01-02T15:04:05.123456Z.
fn rfc3339(time: SystemTime) -> String {
    let elapsed = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("the clock is after 1970");
    let (seconds, days) = (elapsed.as_secs() % 86_400, elapsed.as_secs() / 86_400);
    // https://howardhinnant.github.io/date_algorithms.html#civil_from_days: years begin in March.
    let (era, day) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + month / 10, (month + 2) % 12 + 1);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        elapsed.subsec_micros(),
    )
}

/// Returns the id of a call, which is {"method":"Server.Run","params":[{}],"id":7}.
fn id_of(call: &str) -> Option<u64> {
    let (_, id) = call.rsplit_once("\"id\":")?;
    id.trim_end_matches('}').parse().ok()
}

fn env_or(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env_or("TARGET", "http://127.0.0.1:8000/");
    Client::new(&url)?;
    let (agent, _) = TcpListener::bind(env_or("GOLO_RPC_ADDR", "127.0.0.1:9999"))?.accept()?;
    agent.set_nodelay(true)?;
    let replies = Arc::new(Mutex::new(agent.try_clone()?));
    let (queue, calls) = mpsc::channel();
    let calls = Arc::new(Mutex::new(calls));
    let mut users = 0;
    for line in BufReader::new(agent).lines() {
        let line = line?;
        let id = id_of(&line).ok_or_else(|| format!("not a call: {line}"))?;
        if IN_FLIGHT.fetch_add(1, Ordering::SeqCst) >= users {
            users += 1;
            let (calls, replies) = (Arc::clone(&calls), Arc::clone(&replies));
            let client = Client::new(&url)?;
            thread::spawn(move || answer_calls(&calls, &replies, client));
        }
        queue.send(id)?;
    }
    Ok(())
}

/// Runs one call after the other and replies to each.
fn answer_calls(
    calls: &Mutex<mpsc::Receiver<u64>>,
    replies: &Mutex<TcpStream>,
    mut client: Client,
) {
    loop {
        let next = calls.lock().expect("no thread panicked").recv();
        let id = match next {
            Ok(id) => id,
            Err(_) => return, // the agent has closed the connection
        };
        let error = run(&mut client)
            .err()
            .map_or("null".to_string(), |error| quote(&error));
        let reply = format!("{{\"id\":{id},\"result\":{{}},\"error\":{error}}}\n");
        IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
        let written = replies
            .lock()
            .expect("no thread panicked")
            .write_all(reply.as_bytes());
        if let Err(error) = written {
            eprintln!("no reply to call {id}: {error}");
        }
    }
}
