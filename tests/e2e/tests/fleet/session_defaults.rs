//! What a client has set for a session at one gateway reaches the provider, and is shown by another gateway.

use e2e::{
    fleet::{Fleet, TIMEOUT},
    session_defaults,
};
use scripted_provider::ScriptedLlm;

use crate::test_lock;

#[tokio::test]
async fn the_turns_and_defaults_of_a_session_reach_the_provider() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let client = fleet.client_of(0);
    session_defaults::assert_reach_the_provider(&client, &llm, TIMEOUT).await;
    let other = fleet.client_of(1).session("s").await.expect(200);
    assert_eq!(other["defaults"]["model"], "gpt-of-session", "{other}");
}
