//! The RabbitMQ queue against real brokers and their faults. The conformance suite has the cases that hold for every
//! queue; these tests are about brokers only.
//!
//! Tests that do not change the broker share one node. Each uses a virtual host of its own.

mod setup;

mod alarm;
mod closing;
mod deletions;
mod network;
mod outages;
mod publishing_and_consuming;
mod unreadable;
