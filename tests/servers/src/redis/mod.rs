//! Redis servers (or Valkey, which is the same to a client): one by itself, or a cluster of three.

mod cluster;
mod connection;
mod options;
mod reply;
mod server;

pub use cluster::Cluster;
pub use options::RedisOptions;
pub use reply::Reply;
pub use server::{Client, Redis};
