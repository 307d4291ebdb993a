//! The store in Redis (7 or newer), Valkey or Redis Cluster.
//!
//! A commit is one script and one round trip. All keys that it touches are on one node (`keys`). Sums and
//! searches over all lanes query the 256 partitions at once. The scripts contain no rules: they check for conflicts
//! and write what the caller derived (`commit`).
//!
//! A process has two connections for commands, or one to each node of a cluster (`connections`), and one for
//! notices (`subscriber`). Large commands and large replies have connections of their own (`bulk_connections`). Background
//! tasks replace failed connections until the store is dropped.
//!
//! In reading order: `settings`, `server_setup`, `dial`, `shared_connection`, `bulk_connections`, `connections`; `keys`,
//! `lane_document`, `scripts` and the Lua files, `commit`, `load`; then `redis_store`; then the files that each implement one
//! part of the trait `Store` (`documents`, `listing`, `heads`, `earliest`, `timers`, `deferred`, `accounts`, `sessions`,
//! `session_writes`, `session_listing`, `counts`, `counts_document`, `fleet`); then `store_impl`, which calls them. `api_keys`
//! implements `ApiKeyStore`, and `tenant_limits` implements `LimitStore`.

mod accounts;
mod api_keys;
mod arguments;
mod bulk_connections;
mod commit;
mod connections;
mod counts;
mod counts_document;
mod deferred;
mod dial;
mod documents;
mod earliest;
mod fleet;
mod heads;
mod keys;
mod lane_document;
mod listing;
mod load;
mod memory_gauge;
mod outcome_summary;
mod redis_clock;
mod redis_error;
mod redis_store;
mod reply_part;
mod scripts;
mod server_setup;
mod session_listing;
mod session_writes;
mod sessions;
mod settings;
mod shared_connection;
mod store_impl;
mod subscriber;
mod tenant_limits;
mod timers;
mod turn_numbers;

pub use redis_store::RedisStore;
pub use settings::{ConnectError, RedisSettings, UnsuitableServer};
