//! Without workers, the depth of a queue is the number of jobs that could run now. RabbitMQ and `/v1/queues` show the
//! same number. So operators can choose the number of workers by the queue's depth.

use std::time::Duration;

use e2e::{
    client::id_of,
    fleet::{BATCH, Fleet, INTERACTIVE, TIMEOUT, poll_until},
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::test_lock;

/// The number of sessions with one job each.
const SESSIONS: usize = 500;
/// The number of jobs of one session. Only the first of them could run.
const JOBS_OF_LONG_SESSION: usize = 20;
/// How long after the last submit the counts must be right.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn jobs_that_could_run_are_ready_and_jobs_behind_others_of_their_session_are_not() {
    let _guard = test_lock::shared().await;
    let mut fleet = Fleet::builder().workers(1).start().await;
    let job = fleet
        .client
        .submit_until_ok(&json!({ "input": "hello" }), TIMEOUT)
        .await;
    fleet.client.wait(id_of(&job), TIMEOUT).await;
    fleet.workers[0].sigterm();
    assert_eq!(fleet.workers[0].wait_exit(TIMEOUT).await.code(), Some(0));

    let mut submits = JoinSet::new();
    for number in 0..SESSIONS {
        let client = fleet.client.clone();
        submits.spawn(async move {
            let job = json!({ "session_id": format!("s-{number}"), "input": "hello" });
            client
                .submit_until_accepted(&job, &format!("s-{number}"), TIMEOUT)
                .await;
        });
    }
    submits.join_all().await;
    for _ in 0..JOBS_OF_LONG_SESSION {
        let job = json!({ "session_id": "long", "input": "hello", "priority": "batch" });
        fleet.client.submit_until_ok(&job, TIMEOUT).await;
    }
    let submitted = Instant::now();
    for (queue, ready) in [(INTERACTIVE, SESSIONS as u64), (BATCH, 1)] {
        let remaining = SHOWN_WITHIN.saturating_sub(submitted.elapsed());
        fleet.wait_for_ready_messages(queue, ready, remaining).await;
    }
    println!("ready in RabbitMQ after {:?}", submitted.elapsed());
    for gateway in 0..fleet.gateways.len() {
        let client = fleet.client_of(gateway);
        let remaining = SHOWN_WITHIN.saturating_sub(submitted.elapsed());
        let mut last_counts = Value::Null;
        let shown = async || {
            last_counts = client.get_until_ok("/v1/queues", TIMEOUT).await["classes"].clone();
            has_counts(&last_counts["interactive"], SESSIONS, 0)
                && has_counts(&last_counts["batch"], 1, JOBS_OF_LONG_SESSION - 1)
        };
        assert!(
            poll_until(remaining, shown).await,
            "gateway {gateway} shows other counts: {last_counts}"
        );
    }

    println!("ready in /v1/queues after {:?}", submitted.elapsed());
    wait_for_management_count(&fleet, INTERACTIVE, SESSIONS).await;
    println!("ready in the management UI after {:?}", submitted.elapsed());

    // All jobs run when there is a worker again.
    fleet.add_worker().await;
    fleet.wait_for_live_jobs(0, TIMEOUT).await;
    fleet.wait_for_ready_messages(INTERACTIVE, 0, TIMEOUT).await;
}

fn has_counts(counts: &Value, ready: usize, behind_session: usize) -> bool {
    counts["ready"] == ready
        && counts["behind_session"] == behind_session
        && counts["live"] == ready + behind_session
        && counts["in_flight"] == 0
}

/// Waits until RabbitMQ's management API counts this many ready messages. Its counts are up to six seconds old: a queue
/// reports them every five seconds, and with the settings of these tests RabbitMQ collects them every second.
async fn wait_for_management_count(fleet: &Fleet, queue: &str, ready: usize) {
    let path = format!("/api/queues/{}/{queue}", fleet.vhost.name());
    let mut last_count = Value::Null;
    let shown = async || {
        let management = fleet
            .rabbit
            .management()
            .expect("the node has a management API");
        let queue = management.get(&path).await.expect("the queue exists");
        last_count = queue["messages_ready"].clone();
        last_count == ready
    };
    assert!(
        poll_until(TIMEOUT, shown).await,
        "the management API shows {last_count} ready messages in {queue}, not {ready}"
    );
}
