//! What the store does when Redis is full, restarted, slow, away or wrongly set up: what one engine
//! can show and the conformance suite cannot ask of all.

#[path = "../conformance/drive.rs"]
#[expect(dead_code, reason = "the conformance suite uses all of it")]
mod drive;

mod full;
mod notices;
mod outages;
mod scripts;
mod setup;
mod timers;

use std::sync::Arc;

use forebay_engine::distributed::store::{RedisSettings, RedisStore};
use forebay_shared::store::Store;
use servers::redis::{Redis, RedisOptions};

/// Starts a server.
async fn server(options: RedisOptions) -> Redis {
    Redis::start(options).await.unwrap()
}

/// Connects to it.
async fn connect(url: String) -> Arc<dyn Store> {
    Arc::new(RedisStore::connect(&RedisSettings::new(url)).await.unwrap())
}

/// A line of `INFO`.
async fn info(server: &Redis, section: &str, field: &str) -> String {
    let info = server.cli(&["INFO", section]).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    line.map(|rest| rest.trim_start_matches(':').trim().to_owned())
        .unwrap_or_default()
}
