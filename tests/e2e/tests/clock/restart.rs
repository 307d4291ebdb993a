//! What users see when the processes restart with an earlier clock.

use std::time::{Duration, Instant};

use e2e::{client::Client, fleet::TIMEOUT, slowdown};
use scripted_provider::{Gate, Recorded, ScriptedLlm, ScriptedReply};
use serde_json::json;

use crate::step::{completed, gate, submit, wait_for_call, wait_until_shown};

/// How long the job of a killed worker may take after a restart, on an idle machine: the presence TTL of 3 s and a margin.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);

/// Jobs that are under way when the processes are killed.
pub(crate) struct Interrupted {
    name: String,
    /// A job whose call runs, and the next job of its session.
    running: [String; 2],
    /// A job that waits for its next try.
    retried: String,
    gate: Gate,
}

impl Interrupted {
    /// Submits the jobs, and waits until the call runs and the first try has failed.
    pub(crate) async fn start(client: &Client, llm: &ScriptedLlm, name: &str) -> Self {
        let held = format!("{name}-held");
        let gate = gate(llm, &held);
        let session = format!("{name}-running");
        let running = [
            submit(client, &session, &held).await,
            submit(client, &session, &format!("{name}-next")).await,
        ];
        wait_for_call(llm, &held).await;
        let failing = format!("{name}-fails-once");
        let error = json!({"error": {"message": "try again", "type": "server_error"}});
        llm.queue_replies(&failing, [ScriptedReply::json(500, error)]);
        let retried = submit(client, &format!("{name}-retried"), &failing).await;
        let is_answered = |record: &Recorded| {
            record.request.last_user_text().contains(&failing) && !record.is_in_flight()
        };
        llm.wait_for("the failed try", |records| records.iter().any(is_answered))
            .await;
        Self {
            name: name.to_owned(),
            running,
            retried,
            gate,
        }
    }

    /// Asserts that all jobs complete soon after a restart, and are shown with the times of a clock with this offset.
    pub(crate) async fn assert_completed(self, client: &Client, shown_offset_s: i64) {
        let began = slowdown::measure();
        self.gate.open();
        completed(client, &self.retried).await;
        let retry_completed = Instant::now();
        let [running, next] = &self.running;
        let running = completed(client, running).await;
        let attempts = running["attempts"].as_array().map(Vec::len);
        assert_eq!(attempts, Some(2), "{running}");
        completed(client, next).await;
        let what = format!("{}: the jobs after the restart", self.name);
        slowdown::assert_within(TAKEN_OVER_WITHIN, began, retry_completed.elapsed(), &what);
        wait_until_shown(client, &running, shown_offset_s).await;
        let path = format!("/v1/sessions/{}-running", self.name);
        let session = client.get_until_ok(&path, TIMEOUT).await;
        assert_eq!(session["turn_count"], 4, "{session}");
    }
}
