//! A session that was made at one gateway is edited, copied and used at the other.

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, TIMEOUT},
};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};

use crate::test_lock;

/// Submits a job, waits for its end at the other gateway, and returns the text of its reply.
async fn reply_to(job: &Value, at: &Client, other: &Client) -> String {
    let accepted = at.submit_ok(job).await;
    let ended = other.wait(id_of(&accepted), TIMEOUT).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    ended["output"]["text"]
        .as_str()
        .expect("the reply has a text")
        .to_owned()
}

/// The numbers of the turns that a gateway shows.
async fn numbers(client: &Client, session: &str) -> Vec<u64> {
    let session = client.session(session).await.expect(200);
    let turns = session["turns"].as_array().expect("the session has turns");
    let numbers = turns.iter().map(|turn| turn["number"].as_u64());
    numbers
        .map(|number| number.expect("the turn has a number"))
        .collect()
}

#[tokio::test]
async fn a_session_of_one_gateway_is_edited_and_copied_at_the_other() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let (first, second) = (fleet.client_of(0), fleet.client_of(1));
    for turn in 0..3 {
        let job = json!({ "session_id": "s", "input": format!("turn={turn}") });
        reply_to(&job, &first, &second).await;
    }

    let edit = json!({ "session_id": "s", "replace_from_turn": 2, "input": "turn=9" });
    assert_eq!(reply_to(&edit, &second, &first).await, "seen:0,9");
    assert_eq!(numbers(&first, "s").await, [0, 1, 6, 7]);
    // The replaced turns are gone at the gateway that made them.
    let again = json!({ "session_id": "s", "replace_from_turn": 4, "input": "turn=8" });
    first.submit(&again).await.expect(422);
    let regenerate = json!({ "session_id": "s", "replace_from_turn": 7 });
    assert_eq!(reply_to(&regenerate, &first, &second).await, "seen:0,9");
    assert_eq!(numbers(&second, "s").await, [0, 1, 6, 8]);

    let fork = async |client: &Client, body: Value| {
        let url = client.url_of("/v1/sessions/s/fork");
        client.send(client.http().post(url).json(&body)).await
    };
    let copy = fork(&second, json!({ "id": "copy", "up_to_turn": 1 })).await;
    assert_eq!(copy.expect(201)["turn_count"], 2);
    let problem = fork(&first, json!({ "id": "copy" })).await.expect(409);
    assert_eq!(problem["code"], "session_exists", "{problem}");
    assert_eq!(numbers(&first, "copy").await, [0, 1]);
    let job = json!({ "session_id": "copy", "input": "turn=5" });
    assert_eq!(reply_to(&job, &first, &second).await, "seen:0,5");
    assert_eq!(numbers(&second, "s").await, [0, 1, 6, 8]);

    assert_eq!(second.delete_session("s").await.status, 204);
    first.session("s").await.expect(404);
    assert_eq!(numbers(&first, "copy").await, [0, 1, 2, 3]);
}
