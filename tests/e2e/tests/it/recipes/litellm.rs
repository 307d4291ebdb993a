//! LiteLLM's proxy as a provider: chat, tools, errors, and a context that is too long.

use e2e::process::Forebay;
use serde_json::{Value, json};
use servers::litellm::LiteLlm;

use super::WithProvidersFile;
use crate::fixture::TIMEOUT;

#[tokio::test]
async fn chat_tools_and_errors_work_with_litellm() {
    let proxy = LiteLlm::start().await.expect("LiteLLM starts");
    let url = proxy.base_url();
    let replacements = [("http://127.0.0.1:4000/v1", url.as_str())];
    let env = [("LITELLM_MASTER_KEY", LiteLlm::KEY)];
    let forebay = WithProvidersFile::start("recipe-litellm", &replacements, &env).await;

    chat(&forebay).await;
    tools(&forebay).await;
    errors(&forebay).await;
    check(&url).await;
    let logs = forebay.process.logs();
    assert!(
        !logs.contains(LiteLlm::KEY),
        "the log shows the key: {logs}"
    );
}

fn job(session: &str, model: &str, input: &Value) -> Value {
    json!({ "session_id": session, "model": model, "input": input })
}

#[track_caller]
fn assert_completed(job: &Value) {
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["provider"], "litellm", "{job}");
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
}

async fn chat(forebay: &WithProvidersFile) {
    for input in ["hello", "and again"] {
        let job = forebay.run(&job("chat", "acme/chat", &json!(input))).await;
        assert_completed(&job);
        assert_eq!(job["output"]["text"], "Mocked by LiteLLM.", "{job}");
        assert!(job["usage"]["total_tokens"].is_u64(), "{job}");
    }
}

async fn tools(forebay: &WithProvidersFile) {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let tool =
        json!({ "type": "function", "function": { "name": "weather", "parameters": parameters } });
    let mut question = job("tools", "acme/tools", &json!("the weather?"));
    question["tools"] = json!([tool]);
    let calls = forebay.run(&question).await;
    assert_completed(&calls);
    // LiteLLM's mock sends the finish reason `stop` with its tool calls. Forebay corrects it.
    assert_eq!(calls["finish_reason"], "tool_calls", "{calls}");
    let call = &calls["output"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "weather", "{calls}");

    let result = json!([{ "role": "tool", "tool_call_id": call["id"], "content": "sunny" }]);
    let mut results = job("tools", "acme/chat", &result);
    results["tools"] = json!([tool]);
    let reply = forebay.run(&results).await;
    assert_completed(&reply);
    assert_eq!(reply["output"]["text"], "Mocked by LiteLLM.", "{reply}");
}

async fn errors(forebay: &WithProvidersFile) {
    // A job waits for a limited model until it expires.
    let mut limited = job("limited", "acme/limited", &json!("hi"));
    // The model refuses the call in this time on a busy machine too.
    limited["expires_in_s"] = json!(8);
    let limited = forebay.run(&limited).await;
    assert_eq!(limited["status"], "expired", "{limited}");
    let message = limited["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("mock rate limit error"), "{limited}");
    for (model, code, attempts, words) in [
        (
            "acme/broken",
            "provider_error",
            2,
            "mock internal server error",
        ),
        (
            "acme/short",
            "context_length_exceeded",
            1,
            "mock context window",
        ),
        ("acme/missing", "invalid_request", 1, "Invalid model name"),
    ] {
        let job = forebay
            .run(&job(model.trim_start_matches("acme/"), model, &json!("hi")))
            .await;
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["error"]["code"], code, "{job}");
        assert_eq!(
            job["attempts"].as_array().map(Vec::len),
            Some(attempts),
            "{job}"
        );
        let message = job["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{job}");
    }
}

/// Runs `forebay check` against the same proxy, which does not list the model `acme/missing`.
async fn check(url: &str) {
    for (model, key, code, words) in [
        ("acme/chat", LiteLlm::KEY, Some(0), "Mocked by LiteLLM."),
        ("acme/missing", LiteLlm::KEY, Some(1), "lists: acme/chat"),
    ] {
        let check = Forebay::builder()
            .arg("check")
            .arg(model)
            .env("OPENAI_BASE_URL", url)
            .env("OPENAI_API_KEY", key);
        let exited = check.run_to_exit(TIMEOUT).await;
        assert_eq!(exited.code, code, "{exited:?}");
        let shown = format!("{}{}", exited.stdout, exited.stderr);
        assert!(shown.contains(words), "{shown}");
    }
}
