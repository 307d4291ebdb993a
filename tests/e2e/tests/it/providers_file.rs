//! The providers file of the README, with the URLs of scripted servers. The tests check which provider gets which
//! model, and which key, headers and token limit a request contains.

use e2e::readme;
use scripted_provider::{ChatRequest, ScriptedLlm};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{Fixture, GPT};

/// The key of the provider `acme`.
const KEY: &str = "test-key-acme";

/// A Forebay process with the README's file, and the scripted servers of the file's two entries.
struct Providers {
    fixture: Fixture,
    local: ScriptedLlm,
    acme: ScriptedLlm,
    _folder: TempDir,
}

impl Providers {
    /// Starts the servers and the process with this key for `acme`.
    async fn start(acme_key: &str) -> Self {
        let (local, acme) = (ScriptedLlm::start().await, ScriptedLlm::start().await);
        let mut file = readme::block(&readme::read(), "providers");
        for (url_in_readme, server) in [
            ("http://127.0.0.1:11434/v1", &local),
            ("https://llm.acme.example/v1", &acme),
        ] {
            assert_eq!(
                file.matches(url_in_readme).count(),
                1,
                "the README's file must contain {url_in_readme} once: {file}"
            );
            file = file.replace(url_in_readme, &server.openai_base_url());
        }
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, file).expect("the file is written");
        let path = path.to_str().expect("the path is UTF-8");
        let fixture =
            Fixture::with(&[("FOREBAY_PROVIDERS_FILE", path), ("ACME_API_KEY", acme_key)]).await;
        Self {
            fixture,
            local,
            acme,
            _folder: folder,
        }
    }

    /// Submits a job for this model and waits until it has ended.
    async fn run_job(&self, model: &str) -> Value {
        let job = json!({ "input": "hi", "model": model, "max_output_tokens": 7 });
        let id = self.fixture.submit(&job).await;
        self.fixture.wait(&id).await
    }

    /// The models in the requests to `local`, `acme` and `openai`.
    fn requested_models(&self) -> [Vec<String>; 3] {
        [&self.local, &self.acme, &self.fixture.llm].map(|server| {
            let records = server.recorded();
            records
                .iter()
                .map(|record| record.request.model.clone())
                .collect()
        })
    }
}

/// The only request that a server got.
#[track_caller]
fn only_request(server: &ScriptedLlm) -> ChatRequest {
    let mut records = server.recorded();
    assert_eq!(records.len(), 1, "{}", server.listing());
    ChatRequest::clone(&records.remove(0).request)
}

/// The token limit of a request, under the old name of the field and under the new one.
fn token_limits(request: &ChatRequest) -> [Option<&Value>; 2] {
    ["max_tokens", "max_completion_tokens"].map(|name| request.body.get(name))
}

#[tokio::test]
async fn a_job_goes_to_the_entry_that_lists_its_model_or_whose_name_is_its_prefix() {
    let providers = Providers::start(KEY).await;
    for (model, provider) in [
        ("llama-3.3-70b", "local"),
        ("qwen3", "local"),
        ("local/any-model", "local"),
        ("acme/large", "acme"),
        // No entry lists these models, and no entry's name is their prefix.
        ("qwen3-coder", "openai"),
        ("large", "openai"),
    ] {
        let job = providers.run_job(model).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["provider"], provider, "{job}");
        assert_eq!(job["model"], model, "{job}");
    }
    let expected = [
        vec!["llama-3.3-70b", "qwen3", "any-model"],
        vec!["large"],
        vec!["qwen3-coder", "large"],
    ];
    assert_eq!(providers.requested_models(), expected);
}

#[tokio::test]
async fn each_provider_gets_its_own_key_headers_and_token_limit() {
    let providers = Providers::start(KEY).await;
    for model in ["qwen3", "acme/large", GPT] {
        let job = providers.run_job(model).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert!(
            !job.to_string().contains(KEY),
            "the job shows the key: {job}"
        );
    }
    let limit = json!(7);

    let acme = only_request(&providers.acme);
    assert_eq!(acme.header("authorization"), Some("Bearer test-key-acme"));
    assert_eq!(acme.header("x-team"), Some("search"));
    assert_eq!(token_limits(&acme), [None, Some(&limit)]);

    let local = only_request(&providers.local);
    assert_eq!(local.header("authorization"), None);
    assert_eq!(local.header("x-team"), None);
    assert_eq!(token_limits(&local), [Some(&limit), None]);

    let openai = only_request(&providers.fixture.llm);
    assert_eq!(openai.key(), Some("test-key-openai"));
    assert_eq!(openai.header("x-team"), None);

    let logs = providers.fixture.forebay.logs();
    assert!(!logs.contains(KEY), "the log shows the key: {logs}");
}

#[tokio::test]
async fn a_missing_key_fails_only_the_jobs_of_its_entry() {
    let providers = Providers::start("").await;
    let job = providers.run_job("acme/large").await;
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["error"]["code"], "provider_not_configured", "{job}");
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("ACME_API_KEY"),
        "the error does not name the variable: {job}"
    );
    let job = providers.run_job("qwen3").await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(
        providers.requested_models(),
        [vec!["qwen3"], vec![], vec![]]
    );
}
