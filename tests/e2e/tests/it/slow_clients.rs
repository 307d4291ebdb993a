//! 1,000 clients that send one byte a second do not slow a normal client of one process down.

use e2e::slow_clients;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_thousand_slow_clients_do_not_slow_a_normal_one_down() {
    let fixture = Fixture::start().await;
    slow_clients::assert_no_slowdown(fixture.forebay.url()).await;
}
