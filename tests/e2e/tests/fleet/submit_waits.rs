//! A submit waits at a gateway until a worker, in another process, has ended the job.

use std::time::{Duration, Instant};

use e2e::{
    client::{Answer, Client, id_of, is_terminal},
    fleet::{Fleet, TIMEOUT},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::test_lock;

/// The limit on the time until a wait is answered. It is shorter than the waits, which last 60 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(50);

/// How a client asks for a wait.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Query,
    Header,
}

/// Submits a job and waits for its end for at most `wait_s`.
async fn submit(client: &Client, ask: Ask, wait_s: u64, input: &str) -> Answer {
    let request = match ask {
        Ask::Query => client
            .http()
            .post(client.url_of(&format!("/v1/jobs?wait_s={wait_s}"))),
        Ask::Header => client
            .http()
            .post(client.url_of("/v1/jobs"))
            .header("prefer", format!("wait={wait_s}")),
    };
    client.send(request.json(&json!({ "input": input }))).await
}

/// The expected header `Preference-Applied`.
fn applied(ask: Ask, wait_s: u64) -> Option<String> {
    match ask {
        Ask::Query => None,
        Ask::Header => Some(format!("wait={wait_s}")),
    }
}

#[tokio::test]
async fn a_submit_that_waits_gets_the_finished_job_of_another_process() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    for (gateway, ask) in [(0, Ask::Query), (1, Ask::Header)] {
        let gate = llm.gate_all_requests();
        let client = fleet.client_of(gateway);
        let began = Instant::now();
        let mut wait =
            tokio::spawn(async move { submit(&client, ask, 60, &format!("turn={gateway}")).await });
        llm.wait_for_requests(gateway + 1).await;
        let early = tokio::time::timeout(Duration::from_millis(300), &mut wait).await;
        assert!(
            early.is_err(),
            "{ask:?}: answered before the end: {early:?}"
        );
        gate.open();
        let answer = wait.await.expect("the request does not panic");
        let took = began.elapsed();
        assert!(took < ANSWERED_WITHIN, "{ask:?}: only after {took:?}");
        assert_eq!(
            answer.header("preference-applied").map(str::to_owned),
            applied(ask, 60)
        );
        assert_eq!(answer.header("retry-after"), None);
        let location = answer
            .header("location")
            .expect("the answer has a location")
            .to_owned();
        let job = answer.expect(200);
        assert_eq!(location, format!("/v1/jobs/{}", id_of(&job)));
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["output"]["text"], format!("seen:{gateway}"), "{job}");
        // The other gateway shows the same.
        let other = fleet
            .client_of(1 - gateway)
            .get(&location)
            .await
            .expect(200);
        assert_eq!(other["output"], job["output"]);
    }
}

#[tokio::test]
async fn a_submit_that_waits_too_briefly_gets_the_live_job() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let mut ids = Vec::new();
    for (gateway, ask) in [(0, Ask::Query), (1, Ask::Header)] {
        let began = Instant::now();
        let answer = submit(&fleet.client_of(gateway), ask, 1, "turn=0").await;
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(1), "{ask:?}: after {took:?}");
        assert_eq!(
            answer.header("preference-applied").map(str::to_owned),
            applied(ask, 1)
        );
        let seconds = answer
            .header("retry-after")
            .expect("a live job has Retry-After");
        let seconds: u64 = seconds.parse().expect("Retry-After is in seconds");
        assert!((1..=60).contains(&seconds), "{ask:?}: {seconds}");
        let location = answer
            .header("location")
            .expect("the answer has a location")
            .to_owned();
        let job = answer.expect(202);
        assert!(!is_terminal(&job), "{job}");
        assert_eq!(location, format!("/v1/jobs/{}", id_of(&job)));
        ids.push(id_of(&job).to_owned());
    }
    gate.open();
    for (gateway, id) in ids.iter().enumerate() {
        let job = fleet.client_of(1 - gateway).wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
}
