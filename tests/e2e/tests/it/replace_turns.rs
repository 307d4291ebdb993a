//! A message is edited, or a reply is made again. One commit removes the old turns and adds the new ones, even if the process is
//! killed meanwhile.
//!
//! Each message has the text `turn=N`, and the provider's reply has the N of all messages that it got. These are not the numbers of the
//! session's turns.

use serde_json::{Value, json};

use crate::fixture::Fixture;

async fn numbers(fixture: &Fixture) -> Vec<u64> {
    let session = fixture.client.session("s").await.expect(200);
    let turns = session["turns"]
        .as_array()
        .expect("the session has turns")
        .iter();
    turns.filter_map(|turn| turn["number"].as_u64()).collect()
}

fn edit(text: &str, from: u64) -> Value {
    json!({ "session_id": "s", "input": text, "replace_from_turn": from })
}

#[tokio::test]
async fn the_old_turns_stay_until_the_new_reply_is_stored() {
    let mut fixture = Fixture::start().await;
    for turn in 0..3 {
        let id = fixture.submit_message("s", &format!("turn={turn}")).await;
        fixture.completed_text(&id).await;
    }
    let before = fixture.session_turns("s").await;
    assert_eq!(numbers(&fixture).await, [0, 1, 2, 3, 4, 5]);

    let gate = fixture.llm.gate_all_requests();
    let edited = fixture.submit(&edit("turn=9", 2)).await;
    fixture.wait_for_call("turn=9").await;
    assert_eq!(fixture.session_turns("s").await, before);
    assert_eq!(numbers(&fixture).await, [0, 1, 2, 3, 4, 5]);
    fixture.forebay.kill9().await;
    gate.open();
    fixture.restart().await;
    assert_eq!(fixture.completed_text(&edited).await, "seen:0,9");
    let after = [
        "user: turn=0",
        "assistant: seen:0",
        "user: turn=9",
        "assistant: seen:0,9",
    ];
    assert_eq!(fixture.session_turns("s").await, after);
    assert_eq!(numbers(&fixture).await, [0, 1, 6, 7]);

    // A reply is made again, without an input.
    let again = json!({ "session_id": "s", "replace_from_turn": 7 });
    let again = fixture.submit(&again).await;
    assert_eq!(fixture.completed_text(&again).await, "seen:0,9");
    assert_eq!(fixture.session_turns("s").await, after);
    assert_eq!(numbers(&fixture).await, [0, 1, 6, 8]);
    fixture.assert_no_refusals();
}

#[tokio::test]
async fn a_number_whose_turn_was_replaced_is_refused() {
    let fixture = Fixture::start().await;
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.completed_text(&id).await;
    let id = fixture.submit(&edit("turn=1", 0)).await;
    assert_eq!(fixture.completed_text(&id).await, "seen:1");
    let refused = fixture.client.submit(&edit("turn=2", 0)).await;
    let problem = refused.expect(422);
    assert_eq!(problem["errors"][0]["field"], "replace_from_turn");
    let id = fixture.submit(&edit("turn=2", 3)).await;
    assert_eq!(fixture.completed_text(&id).await, "seen:1,2");
    assert_eq!(numbers(&fixture).await, [2, 4, 5]);
}
