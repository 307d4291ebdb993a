//! Redis or Valkey servers: a single server, or a cluster of three. Clients see no difference between Redis and Valkey.

mod cluster;
mod connection;
mod options;
mod reply;
mod server;

pub use cluster::Cluster;
pub use options::RedisOptions;
pub use reply::RedisReply;
pub use server::{Client, Redis};
