//! llama.cpp's server with a tiny model, instead of the README's local server.

use e2e::{client::Client, process::Forebay};
use serde_json::{Value, json};
use servers::llama_cpp::LlamaCpp;

use super::{commands, run_jobs};
use crate::fixture::TIMEOUT;

/// The context of the model, in tokens. One byte of a message is one token.
const CONTEXT_TOKENS: u32 = 512;

#[tokio::test]
async fn a_local_server_is_checked_and_called_without_a_key_and_a_model() {
    let server = LlamaCpp::start(CONTEXT_TOKENS)
        .await
        .expect("llama.cpp starts");
    let url = server.base_url();
    let replacements = [("http://127.0.0.1:11434/v1", url.as_str())];
    let mut jobs = Vec::new();
    for (args, env) in commands("recipe-local", &replacements) {
        let mut builder = Forebay::builder();
        for (name, value) in env {
            builder = builder.env(&name, value);
        }
        if args == ["check"] {
            let exited = builder.arg("check").run_to_exit(TIMEOUT).await;
            assert_eq!(exited.code, Some(0), "{exited:?}");
            continue;
        }
        let forebay = builder.start().await;
        let client = Client::new(forebay.url());
        let job = |input: &str| json!({ "session_id": "s", "input": input });
        let inputs = [job("hello"), job("and again"), job(&"long ".repeat(200))];
        jobs = run_jobs(&client, &inputs).await;
        let sampled = json!({ "input": "hi", "temperature": 0, "max_output_tokens": 3 });
        jobs.extend(run_jobs(&client, &[sampled]).await);
    }
    let [first, second, too_long, sampled] = &jobs[..] else {
        panic!("no command of the recipe starts Forebay: {jobs:?}");
    };
    for job in [first, second, sampled] {
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["provider"], "openai", "{job}");
        assert!(job["usage"]["input_tokens"].is_u64(), "{job}");
    }
    let count = |job: &Value| job["usage"]["input_tokens"].as_u64();
    assert!(count(second) > count(first), "{second}");
    assert!(
        sampled["usage"]["output_tokens"].as_u64() <= Some(3),
        "{sampled}"
    );
    assert_eq!(
        too_long["error"]["code"], "context_length_exceeded",
        "{too_long}"
    );
}
