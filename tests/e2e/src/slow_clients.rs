//! 1,000 clients that send one byte a second do not slow a normal client down, and none of its requests fails. Used with one process and
//! with a gateway of a fleet.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use crate::{client::Client, open_files};

const SLOW_CLIENTS: u32 = 1_000;
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// The timeout until all slow clients have sent a slow byte. Only failing tests reach it.
const SENDING_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that lasts for less than this time was cut off early. The gateway's time limits are 30 s for a body, and 15 s for
/// headers.
const LASTING_MIN: Duration = Duration::from_secs(12);
/// At most this many of the slow clients may be cut off early.
const CUT_OFF_MAX: usize = 100;
/// The requests of one measurement.
const REQUESTS: usize = 500;
/// The most pairs of measurements, without and with slow clients. Other load of the machine can only raise a time, so one pair within
/// [`RATIO_MAX`] is enough.
const MEASUREMENTS_MAX: usize = 5;
/// The highest ratio of the p99 with slow clients to the p99 without them.
const RATIO_MAX: f64 = 2.0;

/// Sends a submit, one byte a second, until the gateway answers or closes the connection. The first part is sent at once. Adds a permit
/// to `sending` after the first slow byte.
async fn send_slowly(
    address: String,
    sent_at_once: &'static str,
    slow_part: &'static str,
    sending: &Semaphore,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(sent_at_once.as_bytes()).await?;
    for (number, byte) in slow_part.bytes().cycle().enumerate() {
        // The request is never complete, so any answer refuses it.
        if timeout(BYTE_EVERY, stream.read_u8()).await.is_ok() {
            break;
        }
        stream.write_all(&[byte]).await?;
        if number == 0 {
            sending.add_permits(1);
        }
    }
    Ok(())
}

/// Starts the slow clients, and waits until each of them has sent a slow byte. Each task returns how long its connection lasted.
async fn start_slow_clients(address: &str) -> JoinSet<Duration> {
    let mut slow = JoinSet::new();
    let sending = Arc::new(Semaphore::new(0));
    for number in 0..SLOW_CLIENTS {
        // Half of the clients send their headers slowly, and half their bodies.
        let (sent_at_once, slow_part) = if number % 2 == 0 {
            ("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "a")
        } else {
            (
                "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
                " ",
            )
        };
        let (address, sending) = (address.to_owned(), sending.clone());
        slow.spawn(async move {
            let began = Instant::now();
            // An error ends the connection too.
            let _ = send_slowly(address, sent_at_once, slow_part, &sending).await;
            began.elapsed()
        });
    }
    let all_send = timeout(SENDING_TIMEOUT, sending.acquire_many(SLOW_CLIENTS))
        .await
        .is_ok();
    assert!(
        all_send,
        "only {} of {SLOW_CLIENTS} slow clients could send a slow byte",
        sending.available_permits()
    );
    slow
}

/// Asserts that the gateway reads what most of these clients send: it has cut off few of them early.
fn assert_are_read(slow: &mut JoinSet<Duration>) {
    let mut cut_off = Vec::new();
    while let Some(ended) = slow.try_join_next() {
        let lasted = ended.expect("a slow client does not panic");
        if lasted < LASTING_MIN {
            cut_off.push(lasted);
        }
    }
    assert!(
        cut_off.len() <= CUT_OFF_MAX,
        "{} of {SLOW_CLIENTS} slow clients were cut off early: {cut_off:.1?}",
        cut_off.len()
    );
}

/// The 99th percentile of the time that a submit and a read take together.
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
/// If a request of the normal client fails, if the slow clients always slow it down, or if the gateway refuses slow clients at once.
pub async fn assert_no_slowdown(url: &str) {
    open_files::raise_limit();
    let client = Client::new(url);
    let address = url.trim_start_matches("http://");
    let mut measured = Vec::new();
    for _ in 0..MEASUREMENTS_MAX {
        let undisturbed = p99(&client).await;
        let mut slow = start_slow_clients(address).await;
        let disturbed = p99(&client).await;
        assert_are_read(&mut slow);
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
