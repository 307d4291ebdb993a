//! RabbitMQ nodes.
//!
//! A node takes some seconds to start, so the tests of one binary can share [a node](shared). Each test uses its own
//! virtual host. A test that kills or pauses a node, or raises an alarm, starts its own node.

mod control;
mod epmd;
mod files;
mod handshake;
mod management;
mod node;
mod vhost;

pub use control::{PreparedAlarm, RaisedAlarm};
pub use management::Management;
pub use node::{Rabbit, RabbitOptions, shared};
pub use vhost::{QueueCounts, Vhost};
