//! 1,000 clients that send one byte a second do not slow a normal client of their gateway down.

use e2e::{fleet::Fleet, slow_clients};

use crate::test_lock;

#[tokio::test]
async fn a_thousand_slow_clients_do_not_slow_a_normal_one_down() {
    let _guard = test_lock::exclusive().await;
    let fleet = Fleet::builder()
        .gateways(1)
        .workers(1)
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .start()
        .await;
    slow_clients::assert_no_slowdown(fleet.gateways[0].url()).await;
}
