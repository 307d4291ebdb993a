//! `SET` with a sync of the append-only file for each reply, by Redis's own benchmark.

use anyhow::{Context as _, bail, ensure};
use servers::redis::{Redis, RedisOptions};
use tokio::process::Command;

use crate::context::Context;

/// The names of the benchmark in `PATH`.
const BENCHMARKS: [&str; 2] = ["redis-benchmark", "valkey-benchmark"];

/// Measures without and with pipelining.
pub(super) async fn measure(context: &Context) -> anyhow::Result<Vec<(String, f64)>> {
    let redis = Redis::start(RedisOptions::default()).await?;
    let mut rows = Vec::new();
    for (pipelined, requests) in [(1, 100_000), (16, 400_000)] {
        let requests = context.run.size(requests, 2_000);
        let name = format!("Redis SET, fsync always, 64 connections, {pipelined} at a time, /s");
        rows.push((name, sets_per_s(redis.port(), requests, pipelined).await?));
    }
    Ok(rows)
}

async fn sets_per_s(port: u16, requests: u32, pipelined: u32) -> anyhow::Result<f64> {
    let arguments = format!(
        "-h 127.0.0.1 -p {port} -t set -d 600 -r 100000 -c 64 -n {requests} -P {pipelined} --csv"
    );
    for benchmark in BENCHMARKS {
        let mut command = Command::new(benchmark);
        command.args(arguments.split(' ')).kill_on_drop(true);
        let output = match command.output().await {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context("starting Redis's benchmark"),
        };
        ensure!(output.status.success(), "{benchmark} failed");
        return parse(&String::from_utf8_lossy(&output.stdout));
    }
    bail!("{} is not installed", BENCHMARKS.join(" or "))
}

/// The rate in a line such as `"SET","52301.26","0.595",…`.
fn parse(csv: &str) -> anyhow::Result<f64> {
    let set = csv.lines().find_map(|line| line.strip_prefix("\"SET\",\""));
    let rate = set.and_then(|fields| fields.split('"').next());
    let rate = rate.context("the output of Redis's benchmark has no line for SET")?;
    Ok(rate.parse()?)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_rate_is_found() {
        let csv = "\"test\",\"rps\"\n\"SET\",\"52301.26\",\"0.595\"\n";
        assert!((parse(csv).expect("it has a rate") - 52_301.26).abs() < 0.001);
        assert!(parse("").is_err());
    }
}
