//! Tests of `GET` and `DELETE /v1/sessions/{id}`.

use serde_json::{Value, json};

use crate::fixture::{Fixture, job_in_session, lane_of};

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
        json!({"role": "assistant", "content": "Hello."})
    );
    for time in ["created_at", "updated_at", "expires_at"] {
        assert!(
            idle[time].as_str().unwrap().ends_with('Z'),
            "{time} is not in UTC"
        );
    }
    assert_eq!(idle.as_object().unwrap().len(), 8);
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
