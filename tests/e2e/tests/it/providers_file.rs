//! The providers' file of the README, with scripted servers in place of its own: which provider gets which model, and
//! what it is sent.

use e2e::readme;
use scripted_provider::{ChatRequest, ScriptedLlm};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pair::{GPT, Pair};

const KEY: &str = "test-key-acme";

/// A pair with the README's file, and the servers that replace the file's two.
struct Providers {
    pair: Pair,
    local: ScriptedLlm,
    acme: ScriptedLlm,
    _folder: TempDir,
}

impl Providers {
    /// Starts a pair with this key for `acme`.
    async fn start(acme_key: &str) -> Self {
        let (local, acme) = (ScriptedLlm::start().await, ScriptedLlm::start().await);
        let mut file = readme::block(&readme::read(), "providers");
        for (printed, server) in [
            ("http://127.0.0.1:11434/v1", &local),
            ("https://llm.acme.example/v1", &acme),
        ] {
            assert_eq!(file.matches(printed).count(), 1, "{printed} in {file}");
            file = file.replace(printed, &server.openai_base_url());
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, file).expect("the file is written");
        let path = path.to_str().expect("a path in UTF-8");
        let pair =
            Pair::with(&[("FOREBAY_PROVIDERS_FILE", path), ("ACME_API_KEY", acme_key)]).await;
        Self {
            pair,
            local,
            acme,
            _folder: folder,
        }
    }

    /// Submits a job for this model and waits until it has ended.
    async fn ask(&self, model: &str) -> Value {
        let job = json!({ "input": "hi", "model": model, "max_output_tokens": 7 });
        let id = self.pair.submit(&job).await;
        self.pair.wait(&id).await
    }

    /// The models that `local`, `acme` and the built-in provider were asked for.
    fn asked(&self) -> [Vec<String>; 3] {
        [&self.local, &self.acme, &self.pair.llm].map(|server| {
            let records = server.recorded();
            records.iter().map(|r| r.request.model.clone()).collect()
        })
    }
}

/// The only request of a server.
#[track_caller]
fn only(server: &ScriptedLlm) -> ChatRequest {
    let mut records = server.recorded();
    assert_eq!(records.len(), 1, "{}", server.listing());
    ChatRequest::clone(&records.remove(0).request)
}

/// The fields of the bound on a reply's tokens, old name and new.
fn bounds(request: &ChatRequest) -> [Option<&Value>; 2] {
    ["max_tokens", "max_completion_tokens"].map(|name| request.body.get(name))
}

#[tokio::test]
async fn a_model_of_an_entry_goes_to_its_server_by_list_or_prefix() {
    let providers = Providers::start(KEY).await;
    for (model, provider) in [
        ("llama-3.3-70b", "local"),
        ("qwen3", "local"),
        ("local/any-model", "local"),
        ("acme/large", "acme"),
        // Neither listed nor an entry's.
        ("qwen3-coder", "openai"),
        ("large", "openai"),
    ] {
        let job = providers.ask(model).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["provider"], provider, "{job}");
        assert_eq!(job["model"], model, "{job}");
    }
    let expected = [
        vec!["llama-3.3-70b", "qwen3", "any-model"],
        vec!["large"],
        vec!["qwen3-coder", "large"],
    ];
    assert_eq!(providers.asked(), expected);
}

#[tokio::test]
async fn each_is_asked_with_its_own_key_headers_and_bound_on_tokens() {
    let providers = Providers::start(KEY).await;
    for model in ["qwen3", "acme/large", GPT] {
        let job = providers.ask(model).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert!(!job.to_string().contains(KEY), "{job}");
    }
    let seven = json!(7);

    let acme = only(&providers.acme);
    assert_eq!(acme.header("authorization"), Some("Bearer test-key-acme"));
    assert_eq!(acme.header("x-team"), Some("search"));
    assert_eq!(bounds(&acme), [None, Some(&seven)]);

    let local = only(&providers.local);
    assert_eq!(local.header("authorization"), None);
    assert_eq!(local.header("x-team"), None);
    assert_eq!(bounds(&local), [Some(&seven), None]);

    let openai = only(&providers.pair.llm);
    assert_eq!(openai.key(), Some("test-key-openai"));
    assert_eq!(openai.header("x-team"), None);

    let logs = providers.pair.forebay.logs();
    assert!(!logs.contains(KEY), "{logs}");
}

#[tokio::test]
async fn an_entry_without_its_key_fails_its_own_jobs_only() {
    let providers = Providers::start("").await;
    let job = providers.ask("acme/large").await;
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["error"]["code"], "provider_not_configured", "{job}");
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("ACME_API_KEY"), "{job}");
    let job = providers.ask("qwen3").await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(providers.asked(), [vec!["qwen3"], vec![], vec![]]);
}
