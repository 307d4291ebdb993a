//! No processes and files are left after a drop, a panic, or the kill of a test process.

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

const LIMIT: Duration = Duration::from_secs(90);
/// With this variable, this test binary holds servers until it is killed.
const HOLD: &str = "FOREBAY_TEST_HOLD_SERVERS";

/// The running processes with this text in their arguments, their environment or their working folder.
fn processes_with(text: &str) -> BTreeSet<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeSet::new();
    };
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let contains = |path: String| {
        std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    };
    numbers
        .filter(|id| {
            contains(format!("/proc/{id}/cmdline"))
                || contains(format!("/proc/{id}/environ"))
                || std::fs::read_link(format!("/proc/{id}/cwd"))
                    .is_ok_and(|folder| folder.to_string_lossy().contains(text))
        })
        .collect()
}

async fn until_gone(folder: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let left = processes_with(folder);
        if left.is_empty() && !Path::new(folder).exists() {
            return Ok(());
        }
        ensure!(
            started.elapsed() < LIMIT,
            "{folder} still exists, or is used by the processes {left:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn folder_of_redis(redis: &Redis) -> anyhow::Result<String> {
    let reply = redis.cli(&["CONFIG", "GET", "dir"]).await?;
    Ok(reply.lines().last().context("its folder")?.to_owned())
}

async fn folder_of_rabbit(rabbit: &Rabbit) -> anyhow::Result<String> {
    let home = rabbit
        .ctl(&["eval", "io:put_chars(os:getenv(\"HOME\"))."])
        .await?;
    let home = home.strip_suffix("ok\n").unwrap_or(&home).trim();
    ensure!(home.contains("forebay-rabbit-"), "{home}");
    Ok(home.to_owned())
}

#[tokio::test]
async fn a_drop_leaves_nothing() -> anyhow::Result<()> {
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
    // At least the node, its epmd, and a guardian for each.
    assert!(
        processes_with(&folders[0]).len() >= 4,
        "{:?}",
        processes_with(&folders[0])
    );
    redis.pause()?;
    drop((rabbit, redis));
    for folder in &folders {
        until_gone(folder).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_panic_leaves_nothing() -> anyhow::Result<()> {
    let (send_folder, folder) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let redis = Redis::start(RedisOptions::default())
            .await
            .expect("a server");
        let folder = folder_of_redis(&redis).await.expect("its folder");
        send_folder.send(folder).expect("the test waits");
        panic!("like a failed assertion");
    });
    let folder = folder.await?;
    assert!(task.await.is_err());
    until_gone(&folder).await
}

/// Does nothing without `HOLD`. The next test runs it in a process that it kills.
#[tokio::test]
async fn hold_servers() -> anyhow::Result<()> {
    if std::env::var_os(HOLD).is_none() {
        return Ok(());
    }
    let rabbit = Rabbit::start(RabbitOptions {
        management: false,
        ..Default::default()
    })
    .await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    println!(
        "\nholding {} {} .",
        folder_of_rabbit(&rabbit).await?,
        folder_of_redis(&redis).await?
    );
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_test_process_leaves_nothing() -> anyhow::Result<()> {
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["orphans::hold_servers", "--exact", "--nocapture"])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut output = holder.stdout.take().context("its output")?;
    let reading = tokio::task::spawn_blocking(move || {
        let (mut text, mut chunk) = (String::new(), [0; 4_096]);
        loop {
            let bytes = output.read(&mut chunk)?;
            ensure!(bytes > 0, "the holder ended: {text}");
            text.push_str(&String::from_utf8_lossy(&chunk[..bytes]));
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("holding ")?.strip_suffix(" ."));
            if let Some(folders) = line {
                return Ok(folders.split(' ').map(str::to_owned).collect::<Vec<_>>());
            }
        }
    });
    let folders = tokio::time::timeout(Duration::from_secs(120), reading).await;
    holder.kill()?;
    holder.wait()?;
    let folders = folders???;
    assert_eq!(folders.len(), 2, "{folders:?}");
    for folder in &folders {
        until_gone(folder).await?;
    }
    Ok(())
}
