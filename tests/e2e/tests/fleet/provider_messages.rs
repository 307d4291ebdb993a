//! A provider's error message may quote the prompt of the call. Only the tenant of the call and the operator see the message.

use std::fs;

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, TIMEOUT, poll_until},
};
use scripted_provider::{ProviderError, ScriptedLlm};
use serde_json::{Value, json};

use crate::test_lock;

const SHOP: &str = "shop-0123456789-0123456789-012345";
/// A key of the tenant `default`, which owns everything when there are no API keys.
const DEFAULT: &str = "default-0123456789-0123456789-012";
const OPERATOR: &str = "operator-0123456789-0123456789-01";
/// The provider's error message for the call of the shop.
const MESSAGE: &str = "marked-message-0123456789";
/// The provider's `Retry-After`, which is longer than the test takes.
const RETRY_AFTER_S: u64 = 600;

/// Submits a job. Returns it as soon as it waits for its provider.
async fn waiting_job(client: &Client) -> Value {
    let job = client.submit_ok(&json!({ "input": "hello" })).await;
    let mut shown = Value::Null;
    let waits = async || {
        shown = client.job(id_of(&job)).await.expect(200);
        shown["waiting_error"].is_object()
    };
    assert!(poll_until(TIMEOUT, waits).await, "{shown}");
    shown
}

#[tokio::test]
async fn only_the_tenant_of_a_call_and_the_operator_see_the_providers_error_message() {
    let _guard = test_lock::shared().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    let text = format!("shop:{SHOP}\ndefault:{DEFAULT}\noperator:{OPERATOR}:admin\n");
    fs::write(&keys, text).expect("the file is written");
    let llm = ScriptedLlm::start().await;
    let refusal = ProviderError::new(429, MESSAGE).with_retry_after_s(RETRY_AFTER_S);
    llm.queue_replies("hello", [refusal.into()]);
    let fleet = Fleet::builder()
        .workers(2)
        .openai(&llm)
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    let client = |key| fleet.client_of(0).with_api_key(key);

    let of_shop = waiting_job(&client(SHOP)).await;
    let of_default = waiting_job(&client(DEFAULT)).await;
    for (job, may_see) in [(&of_shop, true), (&of_default, false)] {
        assert_eq!(job["waiting_error"]["code"], "rate_limited", "{job}");
        assert_eq!(job.to_string().contains(MESSAGE), may_see, "{job}");
    }
    let providers = client(OPERATOR).get("/v1/providers").await.expect(200);
    assert!(providers.to_string().contains(MESSAGE), "{providers}");
    client(DEFAULT).get("/v1/providers").await.expect(403);
}
