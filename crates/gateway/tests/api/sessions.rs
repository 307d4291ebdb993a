//! Tests of `GET` and `DELETE /v1/sessions/{id}`.

use faulty_store::{Fault, StoreCall};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::fixture::{ApiResponse, Fixture, job_in_session, lane_of};

/// Completes a job of the session `s` with this reply. The session gets two turns.
async fn add_turns(gateway: &Fixture, reply: &str) {
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.complete(&lane_of("s"), id, reply).await;
}

/// Reads `path`, which names the session `s`, and runs `change` after the gateway has read its size and before it reads its turns.
async fn read_during(gateway: &Fixture, path: &str, change: impl AsyncFnOnce()) -> ApiResponse {
    let (begin, begun) = oneshot::channel::<()>();
    let wait = async {
        // The sender is never dropped before it sends.
        let _ = begun.await;
    };
    let reads = gateway.store.call_count(StoreCall::SessionTurns);
    let faults = [Fault::After(Box::pin(wait))];
    gateway.store.plan(StoreCall::SessionTurns, faults);
    let changing = async {
        let turns = StoreCall::SessionTurns;
        gateway.store.wait_for_calls(turns, reads + 1).await;
        change().await;
        begin.send(()).expect("the read waits");
    };
    tokio::join!(gateway.get(path), changing).0
}

#[tokio::test]
async fn a_session_shows_its_turns_and_its_live_jobs() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let busy = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(
        (&busy["id"], &busy["object"]),
        (&json!("s"), &json!("session"))
    );
    assert_eq!(
        (&busy["live_jobs"], &busy["turn_count"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(busy["expires_at"], Value::Null);

    gateway.complete(&lane_of("s"), id, "Hello.").await;
    let idle = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(
        (&idle["live_jobs"], &idle["turn_count"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(
        idle["turns"][1],
        json!({"number": 1, "role": "assistant", "content": "Hello."})
    );
    for time in ["created_at", "updated_at", "expires_at"] {
        assert!(
            idle[time].as_str().unwrap().ends_with('Z'),
            "{time} is not in UTC"
        );
    }
    assert_eq!(
        (&idle["attributes"], &idle["defaults"]),
        (&json!({}), &json!({}))
    );
    assert_eq!(idle.as_object().unwrap().len(), 10);
}

#[tokio::test]
async fn a_session_is_deleted_unless_it_has_live_jobs() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway
        .delete("/v1/sessions/s")
        .await
        .expect_problem(409, "session_busy");
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    let response = gateway.delete("/v1/sessions/s").await;
    assert_eq!(response.status.as_u16(), 204);
    gateway
        .get("/v1/sessions/s")
        .await
        .expect_problem(404, "session_not_found");
    gateway
        .delete("/v1/sessions/s")
        .await
        .expect_problem(404, "session_not_found");
}

#[tokio::test]
async fn a_session_is_shown_in_pages() {
    let gateway = Fixture::start().await;
    for reply in ["one", "two", "three"] {
        let id = gateway.submit_accepted(&job_in_session("s")).await;
        gateway.complete(&lane_of("s"), id, reply).await;
    }
    let all = gateway.get("/v1/sessions/s").await.expect(200);
    let all = all["turns"].as_array().unwrap();
    assert_eq!(all.len(), 6);
    let mut paged = Vec::new();
    let mut path = String::from("/v1/sessions/s?limit=4");
    loop {
        let page = gateway.get(&path).await.expect(200);
        assert_eq!(page["turn_count"], 6);
        paged.extend(page["turns"].as_array().unwrap().clone());
        match page["next_after"].as_u64() {
            Some(after) => path = format!("/v1/sessions/s?limit=4&after={after}"),
            None => break,
        }
    }
    assert_eq!(&paged, all);
    let refused = gateway.get("/v1/sessions/s?limit=0").await;
    refused.expect_problem(422, "invalid_request");
}

#[tokio::test]
async fn a_large_session_is_shown_as_stored_and_gives_its_memory_back() {
    let gateway = Fixture::start().await;
    let text = "ü\"".repeat(100_000);
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.complete(&lane_of("s"), id, &text).await;
    let shown = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(shown["turns"][1]["content"], text);
    let first = gateway.get("/v1/sessions/s?limit=1").await.expect(200);
    assert_eq!(
        first["turns"],
        json!([{"number": 0, "role": "user", "content": "asked"}])
    );
    assert_eq!(first["next_after"], 0);
    let last = gateway.get("/v1/sessions/s?after=0").await.expect(200);
    assert_eq!(last["turns"][0]["content"], text);
    assert_eq!(last["next_after"], Value::Null);
    let reads = &gateway.member.memory.reads;
    assert_eq!(reads.available(), reads.total());
}

#[tokio::test]
async fn a_page_reads_no_turn_of_the_next_page() {
    let gateway = Fixture::start().await;
    let large = "x".repeat(5 << 20);
    add_turns(&gateway, &large).await;
    add_turns(&gateway, &large).await;
    // The second and the fourth turn are larger than a page.
    for (after, turns, next_after) in [(0, 1, json!(1)), (1, 1, json!(2)), (2, 1, Value::Null)] {
        let reads = gateway.store.call_count(StoreCall::SessionTurns);
        let path = format!("/v1/sessions/s?after={after}");
        let page = gateway.get(&path).await.expect(200);
        assert_eq!(page["turns"].as_array().unwrap().len(), turns, "{after}");
        assert_eq!(page["next_after"], next_after, "{after}");
        let read = gateway.store.call_count(StoreCall::SessionTurns) - reads;
        assert_eq!(read, 1, "{after}");
    }
    let end = gateway.get("/v1/sessions/s?after=3").await.expect(200);
    assert_eq!(
        (&end["turns"], &end["next_after"]),
        (&json!([]), &Value::Null)
    );
}

#[tokio::test]
async fn a_session_that_grows_while_it_is_read_is_shown_as_it_was() {
    let gateway = Fixture::start().await;
    add_turns(&gateway, &"x".repeat(100_000)).await;
    let grow = async || add_turns(&gateway, "new").await;
    let shown = read_during(&gateway, "/v1/sessions/s", grow).await;
    let shown = shown.expect(200);
    assert_eq!(shown["turn_count"], 2);
    assert_eq!(shown["turns"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_session_that_is_deleted_while_it_is_read_is_not_found() {
    let gateway = Fixture::start().await;
    add_turns(&gateway, &"x".repeat(100_000)).await;
    let delete = async || {
        assert_eq!(gateway.delete("/v1/sessions/s").await.status, 204);
    };
    for path in ["/v1/sessions/s", "/v1/sessions/s?limit=1"] {
        let shown = read_during(&gateway, path, delete).await;
        shown.expect_problem(404, "session_not_found");
        add_turns(&gateway, &"x".repeat(100_000)).await;
    }
}

#[tokio::test]
async fn a_session_that_is_created_again_while_it_is_read_is_read_again() {
    let gateway = Fixture::start().await;
    for path in ["/v1/sessions/s", "/v1/sessions/s?after=0"] {
        add_turns(&gateway, &"x".repeat(100_000)).await;
        let replace = async || {
            assert_eq!(gateway.delete("/v1/sessions/s").await.status, 204);
            add_turns(&gateway, &"y".repeat(200_000)).await;
        };
        let shown = read_during(&gateway, path, replace).await.expect(200);
        let now = gateway.get(path).await.expect(200);
        assert_eq!(shown["created_at"], now["created_at"]);
        assert_eq!(shown["turns"], now["turns"]);
    }
}

#[tokio::test]
async fn a_page_may_be_one_turn_that_is_larger_than_bodies_and_replies_may_be() {
    let gateway = Fixture::start().await;
    let large = "x".repeat(24 << 20);
    add_turns(&gateway, &large).await;
    let page = gateway.get("/v1/sessions/s?after=0").await.expect(200);
    assert_eq!(page["turns"][0]["content"], large);
}
