//! The machine, the versions and the commit. Without them, tables of figures cannot be compared.

use std::{fs, process::Command};

use anyhow::Context;
use servers::redis::{Redis, RedisOptions};

use crate::installation::Servers;

/// The machine and the versions, as a list in Markdown.
///
/// # Errors
/// If Redis or RabbitMQ does not start.
pub(crate) async fn describe(servers: &Servers) -> anyhow::Result<String> {
    let rabbit = servers.rabbit().await?.ctl(&["version"]).await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    let redis = redis.cli(&["INFO", "server"]).await?;
    let redis = redis
        .lines()
        .filter_map(|line| line.trim().split_once('_'))
        .filter(|(name, version)| {
            ["redis", "valkey"].contains(name) && version.starts_with("version:")
        })
        .map(|(name, version)| format!("{name} {}", version.trim_start_matches("version:")))
        .next_back()
        .context("INFO has no version")?;
    let cores = std::thread::available_parallelism()?;
    let load = first_words(&read("/proc/loadavg"), 1);
    Ok(format!(
        "- machine: {cores} cores ({}), {} GiB memory, Linux {}, load {load} at the start\n\
         - versions: RabbitMQ {}, {redis}\n\
         - commit {}, {}\n",
        cpu_model(),
        memory_gib(),
        read("/proc/sys/kernel/osrelease").trim(),
        rabbit.trim(),
        commit(),
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
    ))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn first_words(text: &str, words: usize) -> String {
    text.split_whitespace()
        .take(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn cpu_model() -> String {
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or("unknown model");
    model.trim_start_matches([' ', '\t', ':']).to_owned()
}

fn memory_gib() -> String {
    let info = read("/proc/meminfo");
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|kib| first_words(kib, 1).parse::<f64>().ok());
    kib.map_or_else(
        || String::from("?"),
        |kib| format!("{:.0}", kib / 1_048_576.0),
    )
}

/// The commit of the repository, with `-dirty` if files differ from it.
fn commit() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| String::from("unknown"))
}
