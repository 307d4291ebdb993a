//! API keys: without them, the gateway listens on a loopback address only, unless `FOREBAY_INSECURE_NO_AUTH` allows others. API
//! keys and providers' keys are in no log and in no stored file. Prompts are in no log.

use std::{fs, time::Duration};

use e2e::{
    client::{Client, id_of},
    files,
    process::{Exited, Forebay},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::fixture::{GPT, TIMEOUT};

const EXIT_TIMEOUT: Duration = Duration::from_secs(60);
const API_KEY: &str = "marked-api-key-0123456789-abcdefgh";
const PROVIDER_KEY: &str = "marked-provider-key-0123456789";
const PROMPT: &str = "marked-prompt-0123456789";
/// All addresses of this machine, and a free port.
const ALL_ADDRESSES: &str = "0.0.0.0:0";
const WARNING: &str = "FOREBAY_INSECURE_NO_AUTH is set";

fn keys_file(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("keys");
    fs::write(&path, format!("shop:{API_KEY}\n")).expect("the file is written");
    path.display().to_string()
}

fn assert_refused(exited: &Exited, parts: &[&str]) {
    assert_eq!(exited.code, Some(2), "{exited:?}");
    for part in parts {
        assert!(exited.stderr.contains(part), "no {part} in {exited:?}");
    }
    assert!(!exited.stderr.contains(API_KEY), "{exited:?}");
}

#[tokio::test]
async fn without_keys_only_a_loopback_address_is_allowed() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = keys_file(&folder);
    let open = Forebay::builder().env("FOREBAY_LISTEN", ALL_ADDRESSES);
    let exited = open.run_to_exit(EXIT_TIMEOUT).await;
    let settings = [
        "FOREBAY_LISTEN",
        "FOREBAY_API_KEYS_FILE",
        "FOREBAY_INSECURE_NO_AUTH",
    ];
    assert_refused(&exited, &settings);

    let insecure = open.clone().env("FOREBAY_INSECURE_NO_AUTH", "true");
    let process = insecure.start().await;
    process.wait_for_log(WARNING, TIMEOUT).await;
    drop(process);

    let both = insecure.env("FOREBAY_API_KEYS_FILE", &keys);
    let exited = both.run_to_exit(EXIT_TIMEOUT).await;
    assert_refused(
        &exited,
        &["FOREBAY_API_KEYS_FILE", "FOREBAY_INSECURE_NO_AUTH"],
    );

    let process = open.env("FOREBAY_API_KEYS_FILE", &keys).start().await;
    let client = Client::new(&process.url().replace("0.0.0.0", "127.0.0.1"));
    client.queues().await.expect(401);
    client.with_api_key(API_KEY).queues().await.expect(200);
    assert!(!process.logs().contains(WARNING), "{}", process.logs());
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_its_line_and_without_the_key() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = keys_file(&folder);
    fs::write(&keys, format!("# keys\nshop:{API_KEY}:everything\n")).expect("the file is written");
    let builder = Forebay::builder().env("FOREBAY_API_KEYS_FILE", &keys);
    let exited = builder.run_to_exit(EXIT_TIMEOUT).await;
    assert_refused(
        &exited,
        &[
            "FOREBAY_API_KEYS_FILE",
            &keys,
            "line 2",
            "submit, read or admin",
        ],
    );
}

#[tokio::test]
async fn keys_are_in_no_log_and_in_no_file_and_prompts_in_no_log() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let llm = ScriptedLlm::start().await;
    let builder = Forebay::builder()
        .openai(&llm)
        .env("FOREBAY_MODEL", GPT)
        .env("OPENAI_API_KEY", PROVIDER_KEY)
        .env("FOREBAY_API_KEYS_FILE", keys_file(&folder))
        .env("FOREBAY_LOG", "trace")
        .data_dir(data.path());
    let mut process = builder.start().await;
    let client = Client::new(process.url());
    client.queues().await.expect(401);
    let shop = client.with_api_key(API_KEY);
    let job = json!({ "input": PROMPT, "session_id": "s" });
    let job = shop.submit_ok(&job).await;
    let job = shop.wait(id_of(&job), TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
    let sent = llm.recorded();
    assert_eq!(
        sent[0].request.header("authorization"),
        Some(format!("Bearer {PROVIDER_KEY}")).as_deref()
    );
    shop.submit(&json!({ "input": PROMPT, "unknown": API_KEY }))
        .await
        .expect(422);
    process.wait_for_log("key_id=", TIMEOUT).await;
    process.kill9().await;

    let logs = process.logs();
    assert!(logs.contains("request answered"), "{logs}");
    assert!(logs.contains("key_id="), "{logs}");
    for secret in [API_KEY, PROVIDER_KEY, PROMPT] {
        let line = logs.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
    for key in [API_KEY, PROVIDER_KEY] {
        assert_eq!(files::with_text(data.path(), key), Vec::<String>::new());
    }
    assert_ne!(files::with_text(data.path(), PROMPT), Vec::<String>::new());
}

#[tokio::test]
async fn a_providers_key_may_be_in_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the file is written");
        path.display().to_string()
    };
    let key = file("key", &format!("{PROVIDER_KEY}\n"));
    let llm = ScriptedLlm::start().await;
    let providers = format!(
        "[providers.acme]\nbase_url = \"{}\"\nkey_env = \"ACME_KEY\"\n",
        llm.openai_base_url()
    );
    let builder = Forebay::builder()
        .openai(&llm)
        .env("OPENAI_API_KEY", "")
        .env("OPENAI_API_KEY_FILE", &key)
        .env("ACME_KEY_FILE", file("acme", "acme-key-in-a-file"))
        .env("FOREBAY_PROVIDERS_FILE", file("providers.toml", &providers));
    let process = builder.start().await;
    let client = Client::new(process.url());
    for (model, key) in [(GPT, PROVIDER_KEY), ("acme/m", "acme-key-in-a-file")] {
        let job = json!({ "input": model, "model": model });
        let job = client.submit_ok(&job).await;
        let job = client.wait(id_of(&job), TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        let sent = llm.recorded_with(model);
        let expected = format!("Bearer {key}");
        assert_eq!(
            sent[0].request.header("authorization"),
            Some(expected.as_str())
        );
        assert!(!process.logs().contains(key), "{}", process.logs());
    }
    drop(process);

    let empty = file("empty", " \n");
    for (name, value, parts) in [
        (
            "OPENAI_API_KEY",
            PROVIDER_KEY,
            ["OPENAI_API_KEY_FILE", "exclude each other"],
        ),
        (
            "OPENAI_API_KEY_FILE",
            "/nowhere/key",
            ["OPENAI_API_KEY_FILE /nowhere/key", "No such file"],
        ),
        (
            "OPENAI_API_KEY_FILE",
            &empty,
            ["OPENAI_API_KEY_FILE", "is empty"],
        ),
        ("ACME_KEY_FILE", &empty, ["ACME_KEY_FILE", "is empty"]),
        (
            "AMQP_URL_FILE",
            "/nowhere/url",
            ["AMQP_URL_FILE /nowhere/url", "No such file"],
        ),
    ] {
        let exited = builder
            .clone()
            .env(name, value)
            .run_to_exit(EXIT_TIMEOUT)
            .await;
        assert_refused(&exited, &parts);
        assert!(!exited.stderr.contains(PROVIDER_KEY), "{exited:?}");
    }
}
