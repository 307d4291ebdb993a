//! `forebay keys` over RabbitMQ and Redis: a key that one gateway makes is valid at the other gateway. A
//! key that one gateway revokes is refused at both.

use std::{
    fs,
    time::{Duration, Instant},
};

use e2e::{
    client::{Client, id_of},
    files,
    fleet::{Fleet, TIMEOUT, poll_until},
    keys_command::{KeysCommand, MadeKey},
};
use serde_json::json;

use crate::test_lock;

const ADMIN: &str = "marked-admin-key-0123456789-abcdefg";
/// How soon every gateway refuses a revoked key.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);
/// The most revocations. A busy machine may delay a gateway, so only one of them must be in time.
const REVOCATIONS: usize = 3;

/// Waits until the gateway answers with this status. Returns how long it took.
async fn wait_for_status(client: &Client, status: u16) -> Duration {
    let began = Instant::now();
    let reached = poll_until(TIMEOUT, async || client.queues().await.status == status).await;
    assert!(reached, "the gateway never answered {status}");
    began.elapsed()
}

#[tokio::test]
async fn a_made_key_is_valid_and_a_revoked_key_is_refused_at_every_gateway() {
    let _guard = test_lock::shared().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let path = folder.path().join("keys");
    fs::write(&path, format!("ops:{ADMIN}:admin\n")).expect("the file is written");
    let mut fleet = Fleet::builder()
        .workers(1)
        .own_rabbit()
        .env("FOREBAY_API_KEYS_FILE", path.display().to_string())
        .env("FOREBAY_LOG", "debug")
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .start()
        .await;
    let keys = KeysCommand {
        url: fleet.gateways[0].url().to_owned(),
        admin_key: ADMIN.to_owned(),
    };
    let mut made: Vec<MadeKey> = Vec::new();
    let mut delays = Vec::new();
    while delays.len() < REVOCATIONS {
        let key = keys.create(&["--tenant", "shop"]).await;
        let at_first = fleet.client_of(0).with_api_key(&key.key);
        let at_second = fleet.client_of(1).with_api_key(&key.key);
        let job = at_first.submit_ok(&json!({ "input": "Hi." })).await;
        wait_for_status(&at_second, 200).await;
        let job = at_second.wait(id_of(&job), TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        keys.run_ok(&["revoke", &key.id]).await;
        at_first.queues().await.expect(401);
        delays.push(wait_for_status(&at_second, 401).await);
        made.push(key);
        if delays.iter().any(|delay| *delay <= REVOKED_WITHIN) {
            break;
        }
    }
    println!("the other gateway refused the revoked keys after {delays:?}");
    assert!(
        delays.iter().any(|delay| *delay <= REVOKED_WITHIN),
        "{delays:?}"
    );

    // A key expires at every gateway, also without a read of the store.
    let short = keys
        .create(&["--tenant", "shop", "--expires-in-s", "1"])
        .await;
    for gateway in 0..2 {
        let client = fleet.client_of(gateway).with_api_key(&short.key);
        wait_for_status(&client, 401).await;
    }
    made.push(short);

    // A gateway that starts later knows the keys, and uses are recorded.
    let kept = keys.create(&["--tenant", "bank", "--name", "kept"]).await;
    fleet.add_gateway().await;
    let client = fleet.client_of(2).with_api_key(&kept.key);
    wait_for_status(&client, 200).await;
    let is_used = async || {
        let list = keys.run_ok(&["list", "--tenant", "bank"]).await.stdout;
        let row = list.lines().find(|row| row.contains(&kept.id));
        let row = row.expect("the key is listed").to_owned();
        // The times of creation and of the last use. The key does not expire.
        let times = row
            .split_whitespace()
            .filter(|cell| cell.ends_with('Z') && cell.starts_with("20"));
        times.count() == 2
    };
    assert!(poll_until(TIMEOUT, is_used).await, "no use is recorded");
    made.push(kept);

    let secrets = made.iter().map(|key| key.key.as_str()).chain([ADMIN]);
    for secret in secrets {
        for member in fleet.gateways.iter().chain(&fleet.workers) {
            let logs = member.logs();
            let found = logs.lines().find(|text| text.contains(secret));
            assert_eq!(found, None, "{}", member.name());
        }
        let (redis, rabbit) = (fleet.redis.folder(), fleet.rabbit.folder());
        assert_eq!(files::with_text(redis, secret), Vec::<String>::new());
        assert_eq!(files::with_text(rabbit, secret), Vec::<String>::new());
    }
}
