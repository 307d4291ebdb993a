//! Tests of `GET /v1/jobs`.

use std::collections::BTreeSet;

use forebay_shared::ids::JobId;
use serde_json::{Value, json};

use crate::fixture::{Fixture, id_of, job_in_session, lane_of};

/// Reads the list to its end. Returns the jobs and the number of pages.
async fn read(gateway: &Fixture, parameters: &str) -> (Vec<Value>, usize) {
    let (mut jobs, mut pages) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/jobs?{parameters}{cursor}");
        let list = gateway.get(&path).await.expect(200);
        assert_eq!(list["object"], "list");
        jobs.extend(list["data"].as_array().expect("a list").iter().cloned());
        pages += 1;
        match list["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (jobs, pages),
        }
    }
}

fn ids(jobs: &[Value]) -> Vec<JobId> {
    jobs.iter().map(id_of).collect()
}

#[tokio::test]
async fn a_list_shows_jobs_as_they_are_in_the_order_of_their_creation() {
    let gateway = Fixture::start().await;
    assert_eq!(
        gateway.get("/v1/jobs").await.expect(200),
        json!({"object": "list", "data": [], "next_cursor": null})
    );
    let mut submitted = Vec::new();
    for session in ["s", "t", "s", "u"] {
        submitted.push(gateway.submit_accepted(&job_in_session(session)).await);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    gateway
        .complete(&lane_of("t"), submitted[1], "Hello.")
        .await;
    gateway.claim(&lane_of("s"), submitted[0]).await;
    let (oldest_first, _) = read(&gateway, "order=asc").await;
    assert_eq!(ids(&oldest_first), submitted);
    for job in &oldest_first {
        let path = format!("/v1/jobs/{}", id_of(job));
        let mut shown = gateway.get(&path).await.expect(200);
        // The expected time changes.
        if let Some(queue) = job.get("queue") {
            shown["queue"] = queue.clone();
        }
        assert_eq!(*job, shown);
    }
    let (mut newest_first, pages) = read(&gateway, "limit=1").await;
    assert!(pages >= 4, "{pages}");
    newest_first.reverse();
    assert_eq!(ids(&newest_first), submitted);

    let listed = async |parameters: &str| ids(&read(&gateway, parameters).await.0);
    let (first, second, third, fourth) = (submitted[0], submitted[1], submitted[2], submitted[3]);
    assert_eq!(listed("session_id=s").await, [third, first]);
    assert_eq!(listed("session_id=nothing").await, []);
    assert_eq!(listed("status=completed").await, [second]);
    assert_eq!(
        listed("status=in_progress,completed").await,
        [second, first]
    );
    assert_eq!(listed("status=queued&session_id=s").await, [third]);
    let second_at = oldest_first[1]["created_at"].as_str().expect("a time");
    assert_eq!(
        listed(&format!("created_before={second_at}")).await,
        [first]
    );
    assert_eq!(
        listed(&format!("created_after={second_at}")).await,
        [fourth, third]
    );

    let (early, late) = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59");
    let all = [fourth, third, second, first];
    assert_eq!(listed(&format!("created_after={early}")).await, all);
    assert_eq!(listed(&format!("created_before={early}")).await, []);
    assert_eq!(listed(&format!("created_after={late}")).await, []);
    assert_eq!(listed(&format!("created_before={late}")).await, all);

    gateway.delete(&format!("/v1/jobs/{second}")).await;
    assert_eq!(listed("").await, [fourth, third, first]);
}

#[tokio::test]
async fn a_large_result_is_not_in_the_list() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let text = "x".repeat(10_000);
    gateway.complete(&lane_of("s"), id, &text).await;
    let (jobs, _) = read(&gateway, "").await;
    let [job] = &jobs[..] else {
        panic!("{jobs:?}");
    };
    assert_eq!(
        (&job["is_partial"], &job["status"]),
        (&json!(true), &json!("completed"))
    );
    assert_eq!(job["output"], Value::Null);
    assert_eq!(job["session_id"], "s");
    let shown = gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
    assert_eq!(shown.get("is_partial"), None);
}

#[tokio::test]
async fn a_list_stays_complete_while_jobs_come_and_go() {
    let gateway = Fixture::start().await;
    let mut submitted = BTreeSet::new();
    for _ in 0..12 {
        submitted.insert(gateway.submit_accepted(&json!({"input": "Hi."})).await);
    }
    let first = gateway.get("/v1/jobs?limit=5").await.expect(200);
    gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let (rest, _) = read(&gateway, &format!("limit=5&cursor={cursor}")).await;
    let mut seen = ids(first["data"].as_array().expect("a list"));
    seen.extend(ids(&rest));
    assert_eq!(seen.len(), submitted.len());
    assert_eq!(BTreeSet::from_iter(seen), submitted);
}

#[tokio::test]
async fn each_wrong_parameter_is_named() {
    let gateway = Fixture::start().await;
    let path = "/v1/jobs?status=done&limit=0&order=up&created_after=now&cursor=x&session_id=";
    let problem = gateway.get(path).await;
    let problem = problem.expect_problem(422, "invalid_request");
    let errors = problem["errors"].as_array().expect("the errors");
    let fields: Vec<_> = errors.iter().map(|error| error["field"].clone()).collect();
    assert_eq!(
        fields,
        [
            "session_id",
            "status",
            "created_after",
            "order",
            "limit",
            "cursor"
        ]
    );
}

#[tokio::test]
async fn a_list_waits_for_memory() {
    let gateway = Fixture::start().await;
    let reads = &gateway.member.memory.reads;
    let _others = reads.try_reserve(u64::MAX).expect("the memory is free");
    // No memory becomes free, so the wait ends with a refusal.
    let refused = gateway.get("/v1/jobs").await;
    assert!(refused.header("retry-after").is_some());
    refused.expect_problem(503, "overloaded");
}
