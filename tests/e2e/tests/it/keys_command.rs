//! `forebay keys` against one process: keys are made, used, listed and revoked, survive a restart and expire.

use std::{fs, time::Duration};

use e2e::{
    client::{Client, id_of},
    files,
    keys_command::KeysCommand,
    process::{Forebay, run_to_exit},
};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::TIMEOUT;

const ADMIN: &str = "marked-admin-key-0123456789-abcdefg";
const EXIT_TIMEOUT: Duration = Duration::from_secs(60);

fn keys_file(folder: &TempDir) -> String {
    let path = folder.path().join("keys");
    fs::write(&path, format!("ops:{ADMIN}:admin\n")).expect("the file is written");
    path.display().to_string()
}

fn command(process: &Forebay) -> KeysCommand {
    KeysCommand {
        url: process.url().to_owned(),
        admin_key: ADMIN.to_owned(),
    }
}

async fn wait_until_refused(client: &Client) {
    let poll = async {
        while client.queues().await.status != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let refused = tokio::time::timeout(TIMEOUT, poll).await;
    refused.expect("the key is refused");
}

#[tokio::test]
async fn keys_are_made_rotated_and_revoked_and_are_in_no_log_and_no_file() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let builder = Forebay::builder()
        .env("FOREBAY_MODEL", "simulated")
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .env("FOREBAY_API_KEYS_FILE", keys_file(&folder))
        .env("FOREBAY_LOG", "debug")
        .data_dir(data.path());
    let mut process = builder.start().await;
    let keys = command(&process);
    let client = Client::new(process.url());

    let old = keys
        .create(&["--tenant", "shop", "--name", "old server"])
        .await;
    let shop = client.with_api_key(&old.key);
    let job = shop.submit_ok(&json!({ "input": "Hi." })).await;
    let job = shop.wait(id_of(&job), TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");

    // The new key is valid before the old one is revoked.
    let new = keys.create(&["--tenant", "shop", "--scope", "read"]).await;
    let reader = client.with_api_key(&new.key);
    reader.job(id_of(&job)).await.expect(200);
    reader.submit(&json!({ "input": "Hi." })).await.expect(403);
    keys.create(&["--tenant", "bank"]).await;
    let list = keys.run_ok(&["list", "--tenant", "shop"]).await.stdout;
    let rows: Vec<&str> = list.lines().collect();
    assert!(rows.len() == 3 && rows[0].starts_with("KEY_ID"), "{list}");
    assert!(
        rows[1].contains(&new.id) && rows[1].contains("read"),
        "{list}"
    );
    assert!(
        rows[2].contains(&old.id) && rows[2].ends_with("old server"),
        "{list}"
    );
    keys.run_ok(&["revoke", &old.id]).await;
    shop.queues().await.expect(401);
    reader.queues().await.expect(200);
    let again = keys.run(&["revoke", &old.id]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("api_key_not_found"), "{again:?}");

    let key_id = format!(" key_id={}", old.id);
    process.wait_for_log(&key_id, TIMEOUT).await;
    process.kill9().await;
    let logs = process.logs();
    let process = builder.start().await;
    let client = Client::new(process.url());
    client.with_api_key(&new.key).queues().await.expect(200);
    client.with_api_key(&old.key).queues().await.expect(401);
    let short = command(&process)
        .create(&["--tenant", "shop", "--expires-in-s", "1"])
        .await;
    wait_until_refused(&client.with_api_key(&short.key)).await;

    let logs = logs + &process.logs();
    for secret in [&old.key, &new.key, &short.key, ADMIN] {
        let found = logs.lines().find(|text| text.contains(secret));
        assert_eq!(found, None);
        assert_eq!(files::with_text(data.path(), secret), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_wrong_call_names_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let process = Forebay::builder()
        .env("FOREBAY_API_KEYS_FILE", keys_file(&folder))
        .start()
        .await;
    let keys = command(&process);
    let url = process.url();

    // A wrong command: exit code 2.
    let without_key = run_to_exit(&["keys", "list", "--url", url], &[], EXIT_TIMEOUT).await;
    let wrong_url = KeysCommand {
        url: String::from("https://localhost"),
        ..keys.clone()
    };
    for (exited, part) in [
        (without_key, "FOREBAY_ADMIN_KEY"),
        (wrong_url.run(&["list"]).await, "http://"),
        (keys.run(&["revoke", "x"]).await, "key_ and 16"),
        (keys.run(&["create"]).await, "--tenant"),
    ] {
        assert_eq!(exited.code, Some(2), "{exited:?}");
        assert!(exited.stderr.contains(part), "{exited:?}");
    }

    // The process refuses the request, or no process listens: exit code 1.
    let unknown_key = KeysCommand {
        admin_key: String::from("another-key-0123456789-0123456789"),
        ..keys.clone()
    };
    let no_process = KeysCommand {
        url: String::from("http://127.0.0.1:1"),
        ..keys.clone()
    };
    for (exited, part) in [
        (unknown_key.run(&["list"]).await, "scope admin"),
        (
            no_process.run(&["list"]).await,
            "no answer from http://127.0.0.1:1",
        ),
        (
            keys.run(&[
                "create",
                "--tenant",
                "t",
                "--scope",
                "read,write",
                "--expires-in-s",
                "0",
            ])
            .await,
            "scopes[1]: must be one of submit, read, admin",
        ),
    ] {
        assert_eq!(exited.code, Some(1), "{exited:?}");
        assert!(exited.stderr.contains(part), "{exited:?}");
    }

    // The admin key may be in a file, and the URL follows from FOREBAY_LISTEN.
    let file = folder.path().join("admin-key");
    fs::write(&file, format!("{ADMIN}\n")).expect("the file is written");
    let file = file.display().to_string();
    let listen = url.trim_start_matches("http://");
    let variables = [
        ("FOREBAY_ADMIN_KEY_FILE", file.as_str()),
        ("FOREBAY_LISTEN", listen),
    ];
    let listed = run_to_exit(&["keys", "list"], &variables, EXIT_TIMEOUT).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.stdout.starts_with("KEY_ID"), "{listed:?}");
    let both = [variables[0], ("FOREBAY_ADMIN_KEY", ADMIN)];
    let both = run_to_exit(&["keys", "list"], &both, EXIT_TIMEOUT).await;
    assert_eq!(both.code, Some(2), "{both:?}");
}

#[tokio::test]
async fn a_process_without_a_keys_file_makes_no_key() {
    let process = Forebay::builder().start().await;
    let exited = command(&process).run(&["create", "--tenant", "shop"]).await;
    assert_eq!(exited.code, Some(1), "{exited:?}");
    assert!(
        exited.stderr.contains("FOREBAY_API_KEYS_FILE"),
        "{exited:?}"
    );
    assert_eq!(exited.stdout, "");
}
