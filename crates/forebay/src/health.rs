//! `forebay health`: asks the process of this container or machine whether it is healthy. It is for health checks where
//! no HTTP client is installed.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

/// The time limit of the whole check. It is shorter than the timeout of the image's health check, so that the message is
/// printed before that.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The most bytes of the response that are read. A response with a problem has fewer.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// The most characters of a response that the message shows.
const SHOWN_CHARS_MAX: usize = 500;

/// Requests `GET /healthz` from the process that listens on `listen`, the value of the setting `variable`. Returns the address
/// that was asked.
///
/// # Errors
/// Why the process is not healthy, or why this is not known.
pub(crate) fn run(listen: SocketAddr, variable: &str) -> anyhow::Result<SocketAddr> {
    ensure!(
        listen.port() != 0,
        "{variable} has port 0, so the port of the process is not known; set another port"
    );
    let address = reachable(listen);
    let deadline = Instant::now() + TIMEOUT;
    let response = exchange(address, deadline)
        .with_context(|| format!("no answer from http://{address}/healthz ({variable})"))?;
    // The status line is `HTTP/1.1 200 OK` (RFC 9112, section 4).
    match response.split(' ').nth(1) {
        Some("200") if response.starts_with("HTTP/1.") => Ok(address),
        _ => {
            let shown: String = response.chars().take(SHOWN_CHARS_MAX).collect();
            bail!("http://{address}/healthz ({variable}) answered: {shown}")
        }
    }
}

/// The address to connect to. A process that listens on all addresses is asked on the loopback address.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Sends the request and reads the start of the response.
fn exchange(address: SocketAddr, deadline: Instant) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, time_left(deadline)?)?;
    stream.set_write_timeout(Some(time_left(deadline)?))?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    let mut buffer = [0; 1024];
    while response.len() < RESPONSE_BYTES_MAX {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => response.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Err(timed_out()),
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// The time until the deadline, more than zero.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(timed_out())
    } else {
        Ok(left)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn timed_out() -> io::Error {
    let message = format!("no complete response within {} s", TIMEOUT.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener},
        thread,
    };

    use super::{reachable, run};

    /// Accepts one connection on a free port, reads the request and answers with `response`. Returns the address, and
    /// the thread that returns the request.
    fn serve(response: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the address is known");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the check connects");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a byte") == 1 {
                request.extend_from_slice(&byte);
            }
            stream
                .write_all(response.as_bytes())
                .expect("the response is sent");
            String::from_utf8(request).expect("the request is text")
        });
        (address, server)
    }

    fn error_of(response: &'static str) -> String {
        let (address, server) = serve(response);
        let error = run(address, "FOREBAY_LISTEN").expect_err("the check fails");
        server.join().expect("the server ends");
        format!("{error:#}")
    }

    #[test]
    fn status_200_is_healthy() {
        let (address, server) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(run(address, "FOREBAY_LISTEN").ok(), Some(address));
        let request = server.join().expect("the server ends");
        assert!(
            request.starts_with("GET /healthz HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains(&format!("Host: {address}\r\n")),
            "{request}"
        );
    }

    #[test]
    fn any_other_response_is_an_error_that_shows_it() {
        let error = error_of("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"code\":\"stuck\"}");
        assert!(error.contains("503 Service Unavailable"), "{error}");
        assert!(error.contains("stuck"), "{error}");
        assert!(error.contains("FOREBAY_LISTEN"), "{error}");
        error_of("");
        error_of("SSH-2.0 200 OK\r\n");
    }

    #[test]
    fn a_port_on_which_nothing_listens_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the address is known");
        drop(listener);
        let error = run(address, "FOREBAY_ADMIN_LISTEN").expect_err("nothing listens");
        let error = format!("{error:#}");
        assert!(error.contains("no answer from"), "{error}");
        assert!(error.contains("FOREBAY_ADMIN_LISTEN"), "{error}");
    }

    #[test]
    fn a_server_that_does_not_answer_is_an_error_in_time() {
        // The listener's backlog takes the connection; nobody accepts it.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the address is known");
        let error = run(address, "FOREBAY_LISTEN").expect_err("the check times out");
        let error = format!("{error:#}");
        assert!(error.contains("within 3 s"), "{error}");
    }

    #[test]
    fn an_unspecified_address_becomes_loopback_and_port_0_is_refused() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), asked);
        }
        let error = run("127.0.0.1:0".parse().expect("an address"), "FOREBAY_LISTEN");
        let error = error.expect_err("port 0 is refused").to_string();
        assert!(error.contains("port 0"), "{error}");
    }
}
