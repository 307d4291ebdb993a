//! Servers leave no processes and no files after their handle is dropped, their test panics, or their test process is
//! killed.

use std::{
    collections::BTreeSet,
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use servers::{
    rabbit::{Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
};

/// How long the processes and the folder of a server may take to disappear.
const TIMEOUT: Duration = Duration::from_secs(90);
/// If this environment variable is set, [`run_servers_until_killed`] starts servers and never returns.
const RUN_SERVERS: &str = "FOREBAY_TEST_RUN_SERVERS";

/// The running processes with this text in their arguments, their environment or their working folder.
fn processes_with(text: &str) -> BTreeSet<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeSet::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let contains = |path: String| {
        std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    };
    ids.filter(|id| {
        contains(format!("/proc/{id}/cmdline"))
            || contains(format!("/proc/{id}/environ"))
            || std::fs::read_link(format!("/proc/{id}/cwd"))
                .is_ok_and(|folder| folder.to_string_lossy().contains(text))
    })
    .collect()
}

/// Waits until no process uses the folder and the folder is deleted.
async fn wait_until_gone(folder: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let remaining = processes_with(folder);
        if remaining.is_empty() && !Path::new(folder).exists() {
            return Ok(());
        }
        ensure!(
            started.elapsed() < TIMEOUT,
            "{folder} still exists, or is used by the processes {remaining:?}, {TIMEOUT:?} after its test ended"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn folder_of_redis(redis: &Redis) -> anyhow::Result<String> {
    let reply = redis.cli(&["CONFIG", "GET", "dir"]).await?;
    Ok(reply
        .lines()
        .last()
        .context("Redis returned an empty reply about its folder")?
        .to_owned())
}

async fn folder_of_rabbit(rabbit: &Rabbit) -> anyhow::Result<String> {
    let home = rabbit
        .ctl(&["eval", "io:put_chars(os:getenv(\"HOME\"))."])
        .await?;
    let home = home.strip_suffix("ok\n").unwrap_or(&home).trim();
    ensure!(
        home.contains("forebay-rabbit-"),
        "RabbitMQ reported another home folder: {home}"
    );
    Ok(home.to_owned())
}

#[tokio::test]
async fn dropped_servers_leave_no_process_and_no_folder() -> anyhow::Result<()> {
    let rabbit = Rabbit::start(RabbitOptions {
        management: false,
        ..Default::default()
    })
    .await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    let folders = [
        folder_of_rabbit(&rabbit).await?,
        folder_of_redis(&redis).await?,
    ];
    // The processes are the node, its epmd, and a guardian for each.
    assert!(
        processes_with(&folders[0]).len() >= 4,
        "too few processes belong to the node: {:?}",
        processes_with(&folders[0])
    );
    redis.pause()?;
    drop((rabbit, redis));
    for folder in &folders {
        wait_until_gone(folder).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_panic_leaves_no_process_and_no_folder() -> anyhow::Result<()> {
    let (send_folder, folder) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let redis = Redis::start(RedisOptions::default())
            .await
            .expect("Redis starts");
        let folder = folder_of_redis(&redis)
            .await
            .expect("Redis reports its folder");
        send_folder
            .send(folder)
            .expect("the test waits for the folder");
        panic!("this panic stands for a failed assertion");
    });
    let folder = folder.await?;
    assert!(task.await.is_err(), "the task did not panic");
    wait_until_gone(&folder).await
}

/// Does nothing if the variable `RUN_SERVERS` is not set. The next test runs this test in a process of its own with the
/// variable set, and kills that process.
#[tokio::test]
async fn run_servers_until_killed() -> anyhow::Result<()> {
    if std::env::var_os(RUN_SERVERS).is_none() {
        return Ok(());
    }
    let rabbit = Rabbit::start(RabbitOptions {
        management: false,
        ..Default::default()
    })
    .await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    println!(
        "\nfolders: {} {} .",
        folder_of_rabbit(&rabbit).await?,
        folder_of_redis(&redis).await?
    );
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_test_process_leaves_no_server_process_and_no_folder() -> anyhow::Result<()> {
    let mut process = Command::new(std::env::current_exe()?)
        .args([
            "orphans::run_servers_until_killed",
            "--exact",
            "--nocapture",
        ])
        .env(RUN_SERVERS, "1")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut output = process
        .stdout
        .take()
        .context("the output of the test process is not piped")?;
    let read_folders = tokio::task::spawn_blocking(move || {
        let (mut text, mut chunk) = (String::new(), [0; 4_096]);
        loop {
            let bytes = output.read(&mut chunk)?;
            ensure!(
                bytes > 0,
                "the process with the servers ended early; its output: {text}"
            );
            text.push_str(&String::from_utf8_lossy(&chunk[..bytes]));
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("folders: ")?.strip_suffix(" ."));
            if let Some(folders) = line {
                return Ok(folders.split(' ').map(str::to_owned).collect::<Vec<_>>());
            }
        }
    });
    let folders = tokio::time::timeout(Duration::from_secs(120), read_folders).await;
    process.kill()?;
    process.wait()?;
    let folders = folders???;
    assert_eq!(folders.len(), 2, "{folders:?}");
    for folder in &folders {
        wait_until_gone(folder).await?;
    }
    Ok(())
}
