//! The large work: sessions that are created, run and read, large submits, and interrupts.

use std::time::{Duration, Instant};

use e2e::client::{Client, id_of};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    provider::SILENT_MODEL,
    sizes::{JOB_BYTES, SESSION_BYTES, Sizes},
};

/// The timeout of each submit, read and wait. Only failing tests reach it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(600);
/// The pause before a submit is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

fn session(number: usize) -> String {
    format!("large-{number}")
}

/// Creates the sessions one after the other, each with one message of [`SESSION_BYTES`].
pub(crate) async fn create_sessions(client: &Client, sizes: &Sizes) {
    for number in 0..sizes.sessions {
        let session = session(number);
        let job = json!({ "session_id": session, "input": "x".repeat(SESSION_BYTES) });
        submit_and_wait(client, &job, &format!("create-{session}")).await;
    }
}

/// Runs the next turn of each session, all at once. Each job has one attempt.
pub(crate) async fn run_sessions(client: &Client, sizes: &Sizes, name: &str) {
    timed("sessions run", sizes.sessions, |number| {
        let client = client.clone();
        let session = session(number);
        let key = format!("run-{name}-{session}");
        async move {
            let job = json!({ "session_id": session, "input": "next" });
            let job = submit_and_wait(&client, &job, &key).await;
            let attempts = job["attempts"].as_array().map(Vec::len);
            assert_eq!(attempts, Some(1), "{job}");
        }
    })
    .await;
}

/// Reads sessions until each read has succeeded.
pub(crate) async fn read_sessions(client: &Client, sizes: &Sizes) {
    let sessions = sizes.sessions;
    timed("sessions read", sizes.reads, |number| {
        let client = client.clone();
        let path = format!("/v1/sessions/{}", session(number % sessions));
        async move {
            let bytes = read_until_ok(&client, &path).await;
            assert!(bytes > SESSION_BYTES, "{path} has only {bytes} bytes");
        }
    })
    .await;
}

/// Submits large jobs, all at once.
pub(crate) async fn submit_jobs(client: &Client, sizes: &Sizes, name: &str) {
    timed("large jobs", sizes.submits, |number| {
        let client = client.clone();
        let key = format!("large-{name}-{number}");
        async move {
            let job = json!({ "input": "x".repeat(JOB_BYTES) });
            submit_and_wait(&client, &job, &key).await;
        }
    })
    .await;
}

/// Queues large jobs behind a call without an end, and interrupts them all with one small job.
pub(crate) async fn interrupt_jobs(client: &Client, sizes: &Sizes, name: &str) {
    let session = format!("interrupted-{name}");
    let running = json!({ "session_id": session, "input": "wait", "model": SILENT_MODEL });
    let running = submit(client, &running, &format!("{session}-running")).await;
    let mut ids = vec![id_of(&running).to_owned()];
    for number in 0..sizes.interrupted {
        let job = json!({ "session_id": session, "input": "x".repeat(JOB_BYTES) });
        let key = format!("{session}-{number}");
        let job = submit(client, &job, &key).await;
        ids.push(id_of(&job).to_owned());
    }
    timed("interrupt", 1, |_| {
        let (client, session) = (client.clone(), session.clone());
        async move {
            let job = json!({ "session_id": session, "input": "stop", "if_busy": "interrupt" });
            submit_and_wait(&client, &job, &format!("{session}-stop")).await;
        }
    })
    .await;
    for id in &ids {
        let job = client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "cancelled", "{job}");
    }
}

/// Runs `count` tasks at once, and prints how long they took together.
async fn timed<F: Future<Output = ()> + Send + 'static>(
    name: &str,
    count: usize,
    task: impl Fn(usize) -> F,
) {
    let began = Instant::now();
    let tasks: JoinSet<()> = (0..count).map(task).collect();
    tasks.join_all().await;
    println!("{name}: {count} in {:?}", began.elapsed());
}

/// Submits a job until it is accepted. A large body may arrive too late on a busy machine (408), and its connection may be closed
/// before the answer is read.
async fn submit(client: &Client, job: &Value, key: &str) -> Value {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match client.try_submit(job, Some(key)).await {
            Ok(answer) if answer.status == 202 => return answer.body,
            Ok(answer) => assert!([408, 503].contains(&answer.status.as_u16()), "{answer:?}"),
            Err(error) => assert!(Instant::now() < deadline, "{key}: {error}"),
        }
        assert!(
            Instant::now() < deadline,
            "{key} was refused for {TIMEOUT:?}"
        );
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn submit_and_wait(client: &Client, job: &Value, key: &str) -> Value {
    let job = submit(client, job, key).await;
    wait_until_completed(client, id_of(&job)).await
}

/// Waits until a job has completed.
pub(crate) async fn wait_until_completed(client: &Client, id: &str) -> Value {
    let job = client.wait(id, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
    job
}

/// Reads this path until the answer is 200. A request that gets 503 with `Retry-After` is repeated. Returns the size of the body, which is
/// not kept.
async fn read_until_ok(client: &Client, path: &str) -> usize {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let request = client.http().get(client.url_of(path));
        let mut response = request.send().await.expect("the gateway answers");
        if response.status() == 200 {
            let mut bytes = 0;
            while let Some(chunk) = response.chunk().await.expect("the body is complete") {
                bytes += chunk.len();
            }
            return bytes;
        }
        assert_eq!(response.status(), 503, "{path}");
        let retry_after = response.headers().get("retry-after");
        let pause_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let pause = Duration::from_secs(pause_s.expect("Retry-After is in seconds"));
        assert!(
            Instant::now() < deadline,
            "{path} was refused for {TIMEOUT:?}"
        );
        tokio::time::sleep(pause.min(Duration::from_secs(2))).await;
    }
}
