//! 1,000 clients that send one byte a second do not slow a normal client down, and none of its requests fails. Used with one process and
//! with a gateway of a fleet.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{client::Client, open_files};

const SLOW_CLIENTS: usize = 1_000;
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// The requests of one measurement.
const REQUESTS: usize = 500;
/// How often both is measured. Other load of the machine can only raise a time.
const MEASUREMENTS_MAX: usize = 5;
const RATIO_MAX: f64 = 2.0;

/// Sends a submit, one byte a second, for as long as the gateway reads it. The first part is sent at once.
async fn send_slowly(address: String, sent_at_once: &'static str, slow_part: &'static str) {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return;
    };
    if stream.write_all(sent_at_once.as_bytes()).await.is_err() {
        return;
    }
    for byte in slow_part.bytes().cycle() {
        tokio::time::sleep(BYTE_EVERY).await;
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

/// The 99th percentile of the times of a submit and a read.
async fn p99(client: &Client) -> Duration {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        client
            .submit(&json!({ "input": "hello" }))
            .await
            .expect(202);
        client.queues().await.expect(200);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[REQUESTS * 99 / 100]
}

/// Measures a normal client of the gateway at this URL, with slow clients and without them.
///
/// # Panics
/// If a request of the normal client fails, or if the slow clients always slow it down.
pub async fn assert_no_slowdown(url: &str) {
    open_files::raise_limit();
    let client = Client::new(url);
    let address = url.trim_start_matches("http://").to_owned();
    let mut measured = Vec::new();
    for _ in 0..MEASUREMENTS_MAX {
        let undisturbed = p99(&client).await;
        let mut slow = JoinSet::new();
        for number in 0..SLOW_CLIENTS {
            // Half of them send their headers slowly, and half their bodies.
            let (sent_at_once, slow_part) = if number % 2 == 0 {
                ("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "a")
            } else {
                (
                    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
                    " ",
                )
            };
            slow.spawn(send_slowly(address.clone(), sent_at_once, slow_part));
        }
        // All of them are connected and have sent some bytes.
        tokio::time::sleep(2 * BYTE_EVERY).await;
        let disturbed = p99(&client).await;
        slow.shutdown().await;
        println!("p99 undisturbed {undisturbed:?}, with slow clients {disturbed:?}");
        measured.push(disturbed.as_secs_f64() / undisturbed.as_secs_f64());
        if measured.iter().any(|ratio| *ratio <= RATIO_MAX) {
            return;
        }
    }
    panic!(
        "with slow clients, the p99 was always more than {RATIO_MAX} times as long: {measured:.1?}"
    );
}
