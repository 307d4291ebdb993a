//! The process runs out of open files. Calls and clients wait; no try is spent, and no provider's account closes.

use std::time::Duration;

use e2e::process::{Builder, Forebay, binary_path};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};

use crate::fixture::{Fixture, GPT, TIMEOUT};

/// A process with this limit of open files.
async fn with_limit(files: u32, llm: &ScriptedLlm) -> Builder {
    let binary = binary_path().await.expect("forebay is built");
    let shell = format!(r#"ulimit -n {files} && exec "$0""#);
    Forebay::builder()
        .program("sh")
        .arg("-c")
        .arg(shell)
        .arg(binary.display().to_string())
        .openai(llm)
        .env("FOREBAY_MODEL", GPT)
}

#[tokio::test]
async fn a_limit_that_is_too_low_is_logged_at_the_start_and_running_out_of_files_spends_no_try() {
    const JOBS: usize = 80;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let builder = with_limit(64, &llm).await.env("FOREBAY_TRIES_MAX", "1");
    let forebay = builder.start().await;
    let log = forebay.logs();
    assert!(log.contains("the limit of open files is too low"), "{log}");
    assert!(log.contains("limit=64"), "{log}");

    let client = e2e::client::Client::new(forebay.url());
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        let job = client.submit_ok(&json!({ "input": "hi" })).await;
        jobs.push(e2e::client::id_of(&job).to_owned());
    }
    forebay.wait_for_log("no open file is left", TIMEOUT).await;
    let accounts = client.get("/v1/providers").await.expect(200);
    assert_eq!(accounts_not_open(&accounts), Vec::<Value>::new());
    gate.open();
    for id in &jobs {
        let job = client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
    }
    assert_eq!(llm.recorded().len(), JOBS);
    let logged = forebay.logs().matches("no open file is left").count();
    assert!(logged <= 12, "{logged} lines:\n{}", forebay.logs());
}

/// The accounts that are not open.
fn accounts_not_open(accounts: &Value) -> Vec<Value> {
    let list = accounts["providers"].as_array();
    let list = list.cloned().unwrap_or_default();
    list.into_iter()
        .filter(|account| account["phase"] != "open")
        .collect()
}

#[tokio::test]
async fn a_sufficient_limit_is_not_logged() {
    let fixture = Fixture::with(&[("FOREBAY_CONCURRENCY", "1")]).await;
    tokio::time::sleep(Duration::ZERO).await;
    let log = fixture.forebay.logs();
    assert!(!log.contains("limit of open files"), "{log}");
}
