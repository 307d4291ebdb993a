//! API keys over RabbitMQ and Redis: every gateway knows the keys of its file, and tenants do not see each other. Keys are in no log
//! and in no file of the servers. Prompts are in the files of Redis only.

use std::fs;

use e2e::{
    client::id_of,
    files,
    fleet::{Fleet, TIMEOUT},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;
use tempfile::TempDir;

use crate::test_lock;

const SHOP: &str = "marked-shop-key-0123456789-abcdefg";
const BANK: &str = "marked-bank-key-0123456789-abcdefg";
const PROVIDER_KEY: &str = "marked-provider-key-0123456789";
const PROMPT: &str = "marked-prompt-0123456789";

fn write_keys(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("keys");
    fs::write(&path, text).expect("the file is written");
    path.display().to_string()
}

#[tokio::test]
async fn tenants_do_not_see_each_other_and_secrets_stay_where_they_belong() {
    let _guard = test_lock::shared().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = write_keys(&folder, &format!("shop:{SHOP}\nbank:{BANK}:submit,read\n"));
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder()
        .workers(2)
        .openai(&llm)
        .own_rabbit()
        .env("FOREBAY_API_KEYS_FILE", keys)
        .env("OPENAI_API_KEY", PROVIDER_KEY)
        .env("FOREBAY_LOG", "trace")
        .start()
        .await;
    let (first, second) = (fleet.client_of(0), fleet.client_of(1));
    first.queues().await.expect(401);
    let (shop, bank) = (first.with_api_key(SHOP), second.with_api_key(BANK));

    let job = json!({ "input": PROMPT, "session_id": "s" });
    let of_shop = id_of(&shop.submit_with_key(&job, "k").await.expect(202)).to_owned();
    let of_bank = id_of(&bank.submit_with_key(&job, "k").await.expect(202)).to_owned();
    assert_ne!(of_shop, of_bank);
    for (client, own, other) in [(&shop, &of_shop, &of_bank), (&bank, &of_bank, &of_shop)] {
        client.job(other).await.expect(404);
        client.cancel(other).await.expect(404);
        let ended = client.wait(own, TIMEOUT).await;
        assert_eq!(ended["status"], "completed", "{ended}");
        client.job(other).await.expect(404);
        let session = client.session("s").await.expect(200);
        assert_eq!(session["turn_count"], 2, "{session}");
    }
    bank.delete_session("s").await.expect(204);
    shop.session("s").await.expect(200);

    let members = fleet.gateways.iter().chain(&fleet.workers);
    for member in members {
        let logs = member.logs();
        // Only the newest 2,000 lines are kept. Older lines could not be searched.
        assert!(logs.lines().count() < 2_000, "{}", member.name());
        for secret in [SHOP, BANK, PROVIDER_KEY, PROMPT] {
            let line = logs.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{}", member.name());
        }
    }
    let (redis, rabbit) = (fleet.redis.folder(), fleet.rabbit.folder());
    for secret in [SHOP, BANK, PROVIDER_KEY] {
        assert_eq!(files::with_text(redis, secret), Vec::<String>::new());
        assert_eq!(files::with_text(rabbit, secret), Vec::<String>::new());
    }
    assert_ne!(files::with_text(redis, PROMPT), Vec::<String>::new());
    assert_eq!(files::with_text(rabbit, PROMPT), Vec::<String>::new());
}
