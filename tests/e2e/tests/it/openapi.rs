//! The OpenAPI document is valid by the standard's own meta-schema, and describes every answer to random requests.

use std::{fs, time::Duration};

use e2e::{client::Client, process::Forebay, python};
use tokio::{process::Command, time::timeout};

/// The timeout of all random requests. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(1_800);

#[tokio::test]
async fn the_document_is_valid_openapi() {
    let forebay = Forebay::builder().start().await;
    let document = Client::new(forebay.url()).get("/openapi.json").await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let path = folder.path().join("openapi.json");
    let text = document.expect(200).to_string();
    fs::write(&path, text).expect("the document is written");
    let output = Command::new(python::program("openapi-spec-validator"))
        .arg(&path)
        .output()
        .await
        .expect("the validator starts");
    assert!(output.status.success(), "{output:?}");
}

/// schemathesis makes requests from the document, valid and invalid ones, also in sequences. No answer is a 5xx, and the document
/// describes each. One of its checks is off: that every body which the schema accepts gets 202. The descriptions state the
/// rules that a schema cannot express.
#[tokio::test]
async fn random_requests_get_only_answers_that_the_document_describes() {
    let examples = match std::env::var_os("FOREBAY_TEST_LONG") {
        Some(_) => "1000",
        None => "50",
    };
    let forebay = Forebay::builder()
        .env("FOREBAY_MODEL", "simulated")
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .start()
        .await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let seed = crate::load::seed();
    let run = Command::new(python::program("schemathesis"))
        .args(["run", &format!("{}/openapi.json", forebay.url())])
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
        ])
        .args(["--max-examples", examples, "--seed", &seed.to_string()])
        .args(["--no-color"])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let output = timeout(TIMEOUT, run)
        .await
        .expect("the requests end in time");
    let output = output.expect("schemathesis starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", forebay.logs());
}
