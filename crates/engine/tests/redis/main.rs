//! The store in Redis when the server is full, restarted, slow, down or configured wrongly, and when its data is damaged or
//! written by an older release. These tests control the server, so they are not part of the conformance suite.

#[path = "../conformance/test_lane.rs"]
mod test_lane;

mod clock;
mod fleet_counts;
mod full;
mod listing;
mod notices;
mod older_release;
mod outages;
mod scripts;
mod sessions;
mod setup;
mod sharding_proxy;
mod timers;

use std::sync::Arc;

use forebay_engine::distributed::store::{RedisSettings, RedisStore};
use forebay_shared::store::Store;
use servers::redis::{Redis, RedisOptions};

/// Starts a server.
async fn server(options: RedisOptions) -> Redis {
    Redis::start(options).await.unwrap()
}

/// Connects a store to the server.
async fn connect(url: String) -> Arc<dyn Store> {
    Arc::new(RedisStore::connect(&RedisSettings::new(url)).await.unwrap())
}

/// Finds the first line of Redis' `INFO` that begins with `prefix`. Returns the text after `prefix`, without a colon at its start, or
/// an empty text if there is no such line.
async fn info(server: &Redis, section: &str, prefix: &str) -> String {
    let info = server.cli(&["INFO", section]).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(prefix));
    line.map(|value| value.trim_start_matches(':').trim().to_owned())
        .unwrap_or_default()
}
