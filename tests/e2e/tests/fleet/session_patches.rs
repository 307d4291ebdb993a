//! Several clients change a session at two gateways at the same time: no change is lost.

use e2e::{client::Client, fleet::Fleet};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::test_lock;

/// The number of clients of each gateway, and the number of changes that each of them makes.
const CLIENTS: usize = 4;
const CHANGES: usize = 5;

/// Sends a change until it is made. A gateway answers 503 when other changes are committed before its own for 5 s.
async fn patch(client: &Client, change: &Value) {
    loop {
        let answer = client.patch_session("s", change).await;
        match answer.status.as_u16() {
            200 => return,
            503 => println!("{change}: {}", answer.body),
            status => panic!("{change}: the answer was {status}: {}", answer.body),
        }
    }
}

#[tokio::test]
async fn parallel_changes_of_a_session_at_two_gateways_are_all_made() {
    let _guard = test_lock::shared().await;
    let fleet = Fleet::builder().workers(0).start().await;
    // Each change adds an attribute and removes another one.
    let names = |client: usize| (0..CHANGES).map(move |change| format!("{client}-{change}"));
    let clients = || 0..2 * CLIENTS;
    let removed = clients().flat_map(|client| names(client).map(|name| (format!("old-{name}"), 1)));
    let removed: serde_json::Map<String, Value> =
        removed.map(|(name, value)| (name, json!(value))).collect();
    let session = json!({ "attributes": removed, "defaults": {"instructions": "first"} });
    fleet
        .client_of(0)
        .put_session("s", &session)
        .await
        .expect(201);

    let mut changes = JoinSet::new();
    for number in clients() {
        let client = fleet.client_of(number % 2);
        changes.spawn(async move {
            for name in names(number) {
                let change = json!({ (format!("old-{name}")): null, (name.as_str()): number });
                patch(&client, &json!({ "attributes": change })).await;
            }
        });
    }
    let other = fleet.client_of(1);
    changes.spawn(async move {
        let change = json!({ "defaults": {"model": "m", "instructions": "second"} });
        patch(&other, &change).await;
    });
    changes.join_all().await;

    let all = clients().flat_map(|client| names(client).map(move |name| (name, json!(client))));
    let all: serde_json::Map<String, Value> = all.collect();
    for gateway in 0..2 {
        let session = fleet.client_of(gateway).session("s").await.expect(200);
        assert_eq!(session["attributes"], Value::Object(all.clone()));
        let defaults = json!({ "model": "m", "instructions": "second" });
        for (name, value) in defaults.as_object().expect("the defaults are an object") {
            assert_eq!(session["defaults"][name], *value, "{session}");
        }
    }
}
