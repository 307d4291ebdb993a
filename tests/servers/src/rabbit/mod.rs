//! RabbitMQ nodes. A node takes some seconds to start, so the tests of one binary may share
//! [one](shared), each in a virtual host of its own; a test that kills, pauses or alarms a node starts one
//! for itself.

mod control;
mod files;
mod handshake;
mod management;
mod names_daemon;
mod node;
mod vhost;

pub use control::{ArmedAlarm, RaisedAlarm};
pub use management::Management;
pub use node::{Rabbit, RabbitOptions, shared};
pub use vhost::{QueueCounts, Vhost};
