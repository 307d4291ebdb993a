//! Starts a gateway and a worker in one process, with one scripted server as both of their providers.

use std::time::Duration;

use e2e::{
    client::{Client, id_of},
    process::{Builder, Forebay},
};
use scripted_provider::{Recorded, ScriptedLlm};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The timeout of each wait for a job. Only failing tests reach it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);
/// A model of the OpenAI-compatible provider. It is the default model of all tests.
pub(crate) const GPT: &str = "gpt-test";
/// A model of Gemini.
pub(crate) const GEMINI: &str = "gemini-test";
/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Generates two tests for each function, one for each provider. The function gets a model as its argument.
macro_rules! for_both_providers {
    ($($test:ident),* $(,)?) => {
        mod openai {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::fixture::GPT).await;
            })*
        }
        mod gemini {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::fixture::GEMINI).await;
            })*
        }
    };
}

/// A running process, its scripted provider and a client. The data folder outlives the process, so a test can restart
/// the process.
pub(crate) struct Fixture {
    pub(crate) llm: ScriptedLlm,
    pub(crate) forebay: Forebay,
    pub(crate) client: Client,
    builder: Builder,
    _data: TempDir,
}

impl Fixture {
    /// Starts a process and its provider, with default settings.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a process and its provider, with these environment variables.
    pub(crate) async fn with(env: &[(&str, &str)]) -> Self {
        Self::with_provider(ScriptedLlm::start().await, env).await
    }

    /// Starts a process with this provider and these environment variables.
    pub(crate) async fn with_provider(llm: ScriptedLlm, env: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder is made");
        let mut builder = Forebay::builder()
            .openai(&llm)
            .gemini(&llm)
            .env("FOREBAY_MODEL", GPT)
            .data_dir(data.path());
        for (name, value) in env {
            builder = builder.env(name, *value);
        }
        let forebay = builder.start().await;
        let client = Client::new(forebay.url());
        Self {
            llm,
            forebay,
            client,
            builder,
            _data: data,
        }
    }

    /// Starts a new process with the same data folder on another port. The old process must have ended.
    pub(crate) async fn restart(&mut self) {
        self.restart_without_client().await;
        self.client.set_url(self.forebay.url());
    }

    /// Starts a new process as [`restart`](Self::restart) does, but the clients keep the old URL. Returns the number of
    /// live jobs in the new process.
    pub(crate) async fn restart_without_client(&mut self) -> i64 {
        self.forebay = self.builder.start().await;
        live_jobs(&Client::new(self.forebay.url()).queues().await.expect(200))
    }

    /// Submits a message in a session, and returns the job's id.
    pub(crate) async fn submit_message(&self, session: &str, text: &str) -> String {
        self.submit(&json!({ "session_id": session, "input": text }))
            .await
    }

    /// Submits a job that must be accepted, and returns its id.
    pub(crate) async fn submit(&self, job: &Value) -> String {
        id_of(&self.client.submit_ok(job).await).to_owned()
    }

    /// The job as it is now.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.client.job(id).await.expect(200)
    }

    /// Waits until the job has ended, and returns it.
    pub(crate) async fn wait(&self, id: &str) -> Value {
        self.client.wait(id, TIMEOUT).await
    }

    /// Waits until the job has completed, and returns its text.
    pub(crate) async fn completed_text(&self, id: &str) -> String {
        let job = self.wait(id).await;
        assert_eq!(job["status"], "completed", "{job}");
        job["output"]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The turns of a session as `role: text`; empty if there is no such session.
    pub(crate) async fn session_turns(&self, session: &str) -> Vec<String> {
        let answer = self.client.session(session).await;
        if answer.status == 404 {
            return Vec::new();
        }
        summaries(&answer.expect(200))
    }

    /// Waits until a request whose last message contains this text is in flight at the provider.
    pub(crate) async fn wait_for_call(&self, text: &str) {
        let has_text = |record: &&Recorded| record.request.last_user_text().contains(text);
        let description = format!("a call for {text:?}");
        let is_in_flight = |records: &[Recorded]| {
            let newest = records.iter().rev().find(has_text);
            newest.is_some_and(Recorded::is_in_flight)
        };
        self.llm.wait_for(&description, is_in_flight).await;
    }

    /// Polls `/v1/queues` until it shows this many live jobs. The process reads the counts once a second.
    pub(crate) async fn wait_for_live_jobs(&self, count: i64) {
        let mut queues = Value::Null;
        let reached = async {
            loop {
                // After a stall of the machine, the gateway answers 503, because its counts are too old.
                queues = self.client.get_until_ok("/v1/queues", TIMEOUT).await;
                if live_jobs(&queues) == count {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        if tokio::time::timeout(TIMEOUT, reached).await.is_err() {
            panic!(
                "timed out after {TIMEOUT:?} waiting for {count} live jobs; the last counts: {queues}"
            );
        }
    }

    /// Asserts that the scripted provider refused no request. It refuses what the real service refuses.
    pub(crate) fn assert_no_refusals(&self) {
        assert_eq!(self.llm.refusals(), Vec::<String>::new());
    }
}

/// The number of live jobs of both classes in an answer of `/v1/queues`.
pub(crate) fn live_jobs(queues: &Value) -> i64 {
    let live_jobs_of = |class: &str| queues["classes"][class]["live"].as_i64();
    match (live_jobs_of("interactive"), live_jobs_of("batch")) {
        (Some(interactive), Some(batch)) => interactive + batch,
        _ => panic!("the answer has no counts of live jobs: {queues}"),
    }
}

/// The turns of a session as `role: text`. A turn with tool calls shows the names of the tools instead of the text.
fn summaries(session: &Value) -> Vec<String> {
    let turns = session["turns"].as_array().expect("the session has turns");
    assert_eq!(session["turn_count"], turns.len(), "{session}");
    let summary = |turn: &Value| {
        let role = turn["role"].as_str().unwrap_or("?");
        let calls = turn["tool_calls"].as_array();
        let names: Vec<&str> = calls
            .into_iter()
            .flatten()
            .filter_map(|call| call["function"]["name"].as_str())
            .collect();
        if names.is_empty() {
            format!("{role}: {}", turn["content"].as_str().unwrap_or("?"))
        } else {
            format!("{role} calls {}", names.join(", "))
        }
    };
    turns.iter().map(summary).collect()
}
