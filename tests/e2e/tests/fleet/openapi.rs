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
