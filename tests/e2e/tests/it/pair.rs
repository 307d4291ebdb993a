//! The whole pair in one process, with one scripted server as both of its providers.

use std::time::Duration;

use e2e::{
    client::{Client, id_of},
    process::{Builder, Forebay},
};
use scripted_provider::{Recorded, ScriptedLlm};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a job may take that nothing holds back. Generous: it only passes when a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// A model of the OpenAI-compatible provider; the default of every pair.
pub(crate) const GPT: &str = "gpt-test";
/// A model of Gemini.
pub(crate) const GEMINI: &str = "gemini-test";
/// A client's pause between two looks at what no event tells.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes a test for each provider of each function named, which gets a model as its argument.
macro_rules! over_both_providers {
    ($($test:ident),* $(,)?) => {
        mod openai {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::pair::GPT).await;
            })*
        }
        mod gemini {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::pair::GEMINI).await;
            })*
        }
    };
}

/// A running pair. Its data folder outlives the process, so that it can be started again.
pub(crate) struct Pair {
    pub(crate) llm: ScriptedLlm,
    pub(crate) forebay: Forebay,
    pub(crate) client: Client,
    builder: Builder,
    _data: TempDir,
}

impl Pair {
    /// A pair with its default settings.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A pair with these variables set.
    pub(crate) async fn with(env: &[(&str, &str)]) -> Self {
        Self::over(ScriptedLlm::start().await, env).await
    }

    /// A pair with this provider and these variables set.
    pub(crate) async fn over(llm: ScriptedLlm, env: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
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

    /// Starts it again on the same data folder, on another port. The process must have ended.
    pub(crate) async fn start_again(&mut self) {
        self.start_again_unseen().await;
        self.client.set_url(self.forebay.url());
    }

    /// The same, but the clients do not know yet where it is; returns the live jobs that it found.
    pub(crate) async fn start_again_unseen(&mut self) -> i64 {
        self.forebay = self.builder.start().await;
        live(&Client::new(self.forebay.url()).queues().await.expect(200))
    }

    /// Submits a message in a session; returns the job's id.
    pub(crate) async fn say(&self, session: &str, text: &str) -> String {
        self.submit(&json!({ "session_id": session, "input": text }))
            .await
    }

    /// Submits a job, which must be accepted; returns its id.
    pub(crate) async fn submit(&self, job: &Value) -> String {
        id_of(&self.client.submit_ok(job).await).to_owned()
    }

    /// Waits until the job has ended.
    pub(crate) async fn wait(&self, id: &str) -> Value {
        self.client.wait(id, LIMIT).await
    }

    /// Waits until the job has ended, which must be well; returns its text.
    pub(crate) async fn text(&self, id: &str) -> String {
        let job = self.wait(id).await;
        assert_eq!(job["status"], "completed", "{job}");
        job["output"]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// What a session holds, as `role: text`; nothing if there is no such session.
    pub(crate) async fn held(&self, session: &str) -> Vec<String> {
        let answer = self.client.session(session).await;
        if answer.status == 404 {
            return Vec::new();
        }
        lines(&answer.expect(200))
    }

    /// Waits until the provider has a request whose last message has this text, and has not ended it.
    pub(crate) async fn running(&self, text: &str) {
        let is_it = |r: &&Recorded| r.request.last_user_text().contains(text);
        let what = format!("a call for {text:?}");
        let seen = |records: &[Recorded]| {
            let newest = records.iter().rev().find(is_it);
            newest.is_some_and(Recorded::is_in_flight)
        };
        self.llm.wait_for(&what, seen).await;
    }

    /// Waits until `/v1/queues` counts this many live jobs. It is read once a second, and nothing tells
    /// when, so this looks again and again.
    pub(crate) async fn live_jobs_become(&self, count: i64) {
        let mut last = Value::Null;
        let seen = async {
            loop {
                last = self.client.queues().await.expect(200);
                if live(&last) == count {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        if tokio::time::timeout(LIMIT, seen).await.is_err() {
            panic!("live jobs did not become {count}: {last}");
        }
    }

    /// Fails if the provider refused a request as the real one would.
    pub(crate) fn assert_no_refusals(&self) {
        assert_eq!(self.llm.refusals(), Vec::<String>::new());
    }
}

/// The live jobs of both classes in an answer of `/v1/queues`.
pub(crate) fn live(queues: &Value) -> i64 {
    let of = |class: &str| queues["classes"][class]["live"].as_i64();
    match (of("interactive"), of("batch")) {
        (Some(interactive), Some(batch)) => interactive + batch,
        _ => panic!("no counts in {queues}"),
    }
}

/// The turns of a session as `role: text`, calls and results of tools named.
fn lines(session: &Value) -> Vec<String> {
    let turns = session["turns"].as_array().expect("turns");
    assert_eq!(session["turn_count"], turns.len(), "{session}");
    let line = |turn: &Value| {
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
    turns.iter().map(line).collect()
}
