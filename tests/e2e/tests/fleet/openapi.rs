//! Random requests to a gateway of a fleet get only answers that the OpenAPI document describes.

use e2e::{fleet::Fleet, random_requests};

use crate::test_lock;

#[tokio::test]
async fn random_requests_get_only_answers_that_the_document_describes() {
    let _guard = test_lock::shared().await;
    let fleet = Fleet::builder()
        .gateways(1)
        .workers(1)
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .start()
        .await;
    random_requests::assert_described(fleet.gateways[0].url()).await;
}

/// The key has all scopes, so the requests include the routes of operators.
#[tokio::test]
async fn random_requests_with_a_key_and_limits_get_only_answers_that_the_document_describes() {
    let _guard = test_lock::shared().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    random_requests::write_keys_with_limits(&keys);
    let fleet = Fleet::builder()
        .gateways(2)
        .workers(1)
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    random_requests::assert_limited_routes_described(fleet.gateways[0].url()).await;
}

#[tokio::test]
async fn random_requests_for_api_keys_get_only_answers_that_the_document_describes() {
    const ADMIN: &str = "admin-0123456789-0123456789-01234";
    let _guard = test_lock::shared().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("ops:{ADMIN}:admin\n")).expect("the file is written");
    let fleet = Fleet::builder()
        .gateways(1)
        .workers(0)
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    random_requests::assert_admin_routes_described(fleet.gateways[0].url(), ADMIN).await;
}
