//! What a client has set for a session reaches the provider, and survives a kill of the process.

use e2e::session_defaults;

use crate::fixture::{Fixture, TIMEOUT};

#[tokio::test]
async fn the_turns_and_defaults_of_a_session_reach_the_provider() {
    let mut fixture = Fixture::start().await;
    session_defaults::assert_reach_the_provider(&fixture.client, &fixture.llm, TIMEOUT).await;
    let before = fixture.client.session("s").await.expect(200);
    fixture.forebay.kill9().await;
    fixture.restart().await;
    let after = fixture.client.session("s").await.expect(200);
    for name in ["turns", "attributes", "defaults"] {
        assert_eq!(after[name], before[name], "{name}");
    }
}
