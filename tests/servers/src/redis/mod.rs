//! Redis or Valkey servers, between which clients see no difference: a single server, or a cluster of three.

mod cluster;
mod connection;
mod options;
mod reply;
mod server;

pub use cluster::Cluster;
pub use options::RedisOptions;
pub use reply::RedisReply;
pub use server::{Client, Redis};
