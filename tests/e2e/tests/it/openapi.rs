//! The OpenAPI document is valid by the standard's own meta-schema, and describes every answer to random requests.

use std::fs;

use e2e::{client::Client, process::Forebay, python, random_requests};
use tokio::process::Command;

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

#[tokio::test]
async fn random_requests_get_only_answers_that_the_document_describes() {
    let forebay = Forebay::builder()
        .env("FOREBAY_MODEL", "simulated")
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .start()
        .await;
    random_requests::assert_described(forebay.url()).await;
}

#[tokio::test]
async fn random_requests_for_api_keys_get_only_answers_that_the_document_describes() {
    const ADMIN: &str = "admin-0123456789-0123456789-01234";
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    fs::write(&keys, format!("ops:{ADMIN}:admin\n")).expect("the file is written");
    let forebay = Forebay::builder()
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    random_requests::assert_admin_routes_described(forebay.url(), ADMIN).await;
}

#[tokio::test]
async fn random_requests_with_a_key_and_limits_get_only_answers_that_the_document_describes() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    random_requests::write_keys_with_limits(&keys);
    let forebay = Forebay::builder()
        .env("FOREBAY_MODEL", "simulated")
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    random_requests::assert_limited_routes_described(forebay.url()).await;
}
