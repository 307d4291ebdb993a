//! The log lines of a request and of a job have their ids as fields, in both formats.

use e2e::trace_tree::{self, ClientTrace};
use serde_json::{Value, json};

use crate::fixture::{Fixture, TIMEOUT};

const TRACE: ClientTrace = ClientTrace {
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: "b7ad6b7169203331",
    is_sampled: true,
};
const REQUEST_ID: &str = "my-request/1";
/// The last line of an attempt.
const ATTEMPT_ENDED: &str = "an attempt ended";

async fn start(format: &str) -> Fixture {
    let log = ("FOREBAY_LOG", "debug");
    Fixture::with(&[("FOREBAY_LOG_FORMAT", format), log]).await
}

/// The lines with this message.
fn lines(fixture: &Fixture, message: &str) -> Vec<Value> {
    let log = fixture.forebay.logs();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines
        .filter(|line: &Value| line["message"] == message)
        .collect()
}

#[tokio::test]
async fn json_lines_have_the_ids_of_the_request_the_job_and_the_trace() {
    let fixture = start("json").await;
    let submit = reqwest::Client::new()
        .post(fixture.client.url_of("/v1/jobs"))
        .header("x-request-id", REQUEST_ID)
        .header(
            "traceparent",
            format!("00-{}-{}-01", TRACE.trace_id, TRACE.span_id),
        )
        .json(&json!({ "session_id": "chat", "input": "a-prompt-that-no-log-shows" }));
    let answer = submit.send().await.expect("the gateway answers");
    assert_eq!(answer.headers()["x-request-id"], REQUEST_ID);
    let job: Value = answer.json().await.expect("the answer is JSON");
    let id = e2e::client::id_of(&job);
    fixture.wait(id).await;
    fixture.forebay.wait_for_log(ATTEMPT_ENDED, TIMEOUT).await;

    let accepted = lines(&fixture, "job accepted");
    let answered = lines(&fixture, "request answered");
    let ended = lines(&fixture, ATTEMPT_ENDED);
    let of_submit = |line: &&Value| line["request_id"] == REQUEST_ID;
    let answered = answered.iter().find(of_submit);
    let answered = answered.expect("the request has a line");
    for line in [&accepted[0], answered, &ended[0]] {
        assert_eq!(line["job_id"], id, "{line}");
        assert_eq!(line["session_id"], "chat", "{line}");
        assert_eq!(line["trace_id"], TRACE.trace_id, "{line}");
        assert_eq!(line["span_id"], TRACE.span_id, "{line}");
    }
    assert_eq!(accepted[0]["request_id"], REQUEST_ID);
    assert!(ended[0]["request_id"].is_null(), "{}", ended[0]);
    // A store of logs gives a field one type, so a number is a number in every line.
    for line in [answered, &ended[0]] {
        assert!(line["elapsed_ms"].is_u64(), "{line}");
    }
    // If a line has a field itself, the field of its context is not added.
    let log = fixture.forebay.logs();
    for line in log.lines().filter(|line| line.contains("\"message\"")) {
        assert!(line.matches("\"job_id\":").count() <= 1, "{line}");
    }
    assert!(!log.contains("a-prompt-that-no-log-shows"));
}

#[tokio::test]
async fn text_lines_have_the_ids_at_their_end() {
    let fixture = start("text").await;
    let job = json!({ "session_id": "chat", "input": "hello" });
    let id = trace_tree::submit(&fixture.client, &job, TRACE).await;
    fixture.wait(&id).await;
    fixture.forebay.wait_for_log(ATTEMPT_ENDED, TIMEOUT).await;
    let log = fixture.forebay.logs();
    let end = format!(
        " session_id=chat trace_id={} span_id={}",
        TRACE.trace_id, TRACE.span_id
    );
    let line = log.lines().find(|line| line.contains(ATTEMPT_ENDED));
    let line = line.expect("the attempt has a line");
    assert!(line.ends_with(&end), "{line}");
    assert_eq!(line.matches("job_id=").count(), 1, "{line}");
}
