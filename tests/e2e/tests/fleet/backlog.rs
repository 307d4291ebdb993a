//! Without workers, the depth of a queue is the number of jobs that could run now. RabbitMQ and `/v1/queues` show the
//! same number, so operators can scale workers by it.

use std::time::Duration;

use e2e::{
    client::id_of,
    fleet::{BATCH, Fleet, INTERACTIVE, LIMIT, until},
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::machine;

const SESSIONS: usize = 500;
const TURNS: usize = 20;
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn jobs_that_could_run_are_ready_and_jobs_behind_others_of_their_session_are_not() {
    let _machine = machine::beside_others().await;
    let mut fleet = Fleet::builder().workers(1).start().await;
    let job = fleet.client.submit_ok(&json!({ "input": "hello" })).await;
    fleet.client.wait(id_of(&job), LIMIT).await;
    fleet.workers[0].sigterm();
    assert_eq!(fleet.workers[0].wait_exit(LIMIT).await.code(), Some(0));

    let mut submits = JoinSet::new();
    for n in 0..SESSIONS {
        let client = fleet.client.clone();
        submits.spawn(async move {
            let job = json!({ "session_id": format!("s-{n}"), "input": "hello" });
            client
                .submit_until_accepted(&job, &format!("s-{n}"), LIMIT)
                .await;
        });
    }
    submits.join_all().await;
    for _ in 0..TURNS {
        let job = json!({ "session_id": "long", "input": "hello", "priority": "batch" });
        fleet.client.submit_ok(&job).await;
    }
    let submitted = Instant::now();
    for (queue, ready) in [(INTERACTIVE, SESSIONS as u64), (BATCH, 1)] {
        let left = SHOWN_WITHIN.saturating_sub(submitted.elapsed());
        fleet.ready_becomes(queue, ready, left).await;
    }
    println!("ready in RabbitMQ after {:?}", submitted.elapsed());
    for gateway in 0..fleet.gateways.len() {
        let client = fleet.client_of(gateway);
        let left = SHOWN_WITHIN.saturating_sub(submitted.elapsed());
        let mut last = Value::Null;
        let shown = async || {
            last = client.queues().await.expect(200)["classes"].clone();
            has_counts(&last["interactive"], SESSIONS, 0)
                && has_counts(&last["batch"], 1, TURNS - 1)
        };
        assert!(until(left, shown).await, "gateway {gateway}: {last}");
    }

    println!("ready in /v1/queues after {:?}", submitted.elapsed());
    wait_for_management_count(&fleet, INTERACTIVE, SESSIONS).await;
    println!("ready in the management UI after {:?}", submitted.elapsed());

    // All jobs run when there is a worker again.
    fleet.add_worker().await;
    fleet.live_jobs_become(0, LIMIT).await;
    fleet.ready_becomes(INTERACTIVE, 0, LIMIT).await;
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
    let mut last = Value::Null;
    let shown = async || {
        let management = fleet.rabbit.management().expect("a management API");
        let queue = management.get(&path).await.expect("a queue");
        last = queue["messages_ready"].clone();
        last == ready
    };
    assert!(until(LIMIT, shown).await, "{queue}: {last} ready");
}
