//! Sends a request over a new connection, and checks the response.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::generator::{OddRequest, Strictness};

/// Longer than every time limit of the process.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Problems that no field of the request causes: the code of each, and the word in its detail that names what is wrong.
const NAMED_IN_DETAIL: [(&str, &str); 10] = [
    ("not_found", "path"),
    ("job_not_found", "id"),
    ("session_not_found", "id"),
    ("method_not_allowed", "Allow"),
    ("idempotency_key_reused", "Idempotency-Key"),
    ("body_too_large", "body"),
    ("body_timeout", "body"),
    ("session_full", "session"),
    ("session_busy", "if_busy"),
    ("job_finished", "job"),
];

/// Sends the request. Panics if the response is not what HTTP and the API promise.
pub(super) async fn send_and_check(address: SocketAddr, number: u64, request: &OddRequest) {
    let received = timeout(TIMEOUT, exchange(address, request)).await;
    let description = &request.description;
    let received = match received {
        Ok(Ok(received)) => received,
        Ok(Err(error)) => panic!("request {number} ({description}): {error}"),
        Err(_) => panic!("request {number} ({description}): no end of the response"),
    };
    if let Err(fault) = check(&received, request) {
        let start = String::from_utf8_lossy(&request.bytes[..request.bytes.len().min(1_000)]);
        let response = String::from_utf8_lossy(&received[..received.len().min(1_000)]);
        panic!("request {number} ({description}): {fault}\n{start:?}\nresponse: {response:?}");
    }
}

async fn exchange(address: SocketAddr, request: &OddRequest) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.split();
    let mut received = Vec::new();
    let writing = async {
        // The server may answer, and close the connection, before it has read everything.
        let written = writer.write_all(&request.bytes).await;
        if request.strictness == Strictness::NoResponse && written.is_ok() {
            let _ = writer.shutdown().await;
        }
    };
    let (read, ()) = tokio::join!(reader.read_to_end(&mut received), writing);
    match read {
        // The server may close the connection before it has read the whole request. That resets the connection, also after the
        // response.
        Err(_) if request.strictness != Strictness::CleanClose && !received.is_empty() => {}
        Err(_) if request.strictness == Strictness::NoResponse => {}
        read => drop(read?),
    }
    Ok(received)
}

fn check(received: &[u8], request: &OddRequest) -> Result<(), String> {
    if received.is_empty() {
        return match request.strictness {
            // The client itself has ended the connection.
            Strictness::NoResponse => Ok(()),
            Strictness::CleanClose | Strictness::Reset => Err(String::from("no response")),
        };
    }
    let mut bytes = received;
    // Interim responses come before the response.
    let (head, body) = loop {
        if bytes.is_empty() && request.strictness == Strictness::NoResponse {
            // The client has ended the connection after the interim response.
            return Ok(());
        }
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or("the head of the response has no end")?;
        let head = std::str::from_utf8(&bytes[..end + 2]).map_err(|_| "the head is not UTF-8")?;
        bytes = &bytes[end + 4..];
        if !head.starts_with("HTTP/1.1 100 ") {
            break (head.to_ascii_lowercase(), bytes);
        }
    };
    let status = head
        .get(9..12)
        .and_then(|status| status.parse::<u16>().ok());
    let status = status.ok_or("the status is not a number")?;
    if !(200..500).contains(&status) {
        return Err(format!("status {status}"));
    }
    if !head.contains("\r\nx-request-id: ") {
        return Err(String::from("the response has no x-request-id"));
    }
    if status < 300 || request.is_head {
        return Ok(());
    }
    if !head.contains("\r\ncontent-type: application/problem+json\r\n") {
        return Err(String::from("the response has no problem details"));
    }
    let length = head.split("\r\ncontent-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
    let body = length.and_then(|length| body.get(..length));
    let body = body.ok_or("the response is cut off")?;
    let problem: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if problem["status"] != status {
        return Err(String::from("the problem has another status"));
    }
    check_cause_is_named(&problem)
}

/// Checks that a problem names the field, header or parameter that is wrong.
fn check_cause_is_named(problem: &Value) -> Result<(), String> {
    let field = problem["errors"][0]["field"].as_str();
    let message = problem["errors"][0]["message"].as_str().unwrap_or_default();
    if field.is_some() && message.len() > 5 {
        return Ok(());
    }
    let code = problem["code"].as_str().unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_default();
    let is_named = NAMED_IN_DETAIL
        .iter()
        .any(|(known, name)| *known == code && detail.contains(name));
    is_named
        .then_some(())
        .ok_or_else(|| String::from("the problem does not name what is wrong"))
}
