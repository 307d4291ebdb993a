//! The RabbitMQ queue against real brokers and their faults. The conformance suite tests what every queue
//! does; these tests cover what only a broker can do.
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
