//! A fleet edits a message of a session: a gateway accepts the edit, its worker is killed, and another worker commits it.
//!
//! Each message has the text `turn=N`, and the provider's reply has the N of all messages that it got. These are not the numbers of the
//! session's turns.

use e2e::{
    client::id_of,
    fleet::{Fleet, TIMEOUT},
};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};

use crate::test_lock;

#[tokio::test]
async fn an_edit_survives_the_kill_of_its_worker_and_replaces_once() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    for turn in 0..3 {
        let job = json!({ "session_id": "s", "input": format!("turn={turn}") });
        let accepted = fleet.client_of(0).submit_ok(&job).await;
        let ended = fleet.client_of(1).wait(id_of(&accepted), TIMEOUT).await;
        assert_eq!(ended["status"], "completed", "{ended}");
    }
    let gate = llm.gate_all_requests();
    let edit = json!({ "session_id": "s", "input": "turn=9", "replace_from_turn": 2 });
    let accepted = fleet.client_of(0).submit_ok(&edit).await;
    let id = id_of(&accepted).to_owned();
    let is_called = |records: &[scripted_provider::Recorded]| records.len() == 4;
    llm.wait_for("the call of the edit", is_called).await;
    let session = fleet.client_of(1).session("s").await.expect(200);
    assert_eq!(session["turn_count"], 6, "{session}");

    fleet.workers[0].kill9().await;
    gate.open();
    fleet.add_worker().await;
    let ended = fleet.client_of(1).wait(&id, TIMEOUT).await;
    assert_eq!(ended["output"]["text"], "seen:0,9", "{ended}");
    let session = fleet.client_of(0).session("s").await.expect(200);
    let turns = session["turns"].as_array().expect("the session has turns");
    let numbers: Vec<&Value> = turns.iter().map(|turn| &turn["number"]).collect();
    assert_eq!(numbers, [0, 1, 6, 7], "{session}");
}
