//! The RabbitMQ queue against real brokers and their faults. The conformance suite has the cases for all queues. These
//! tests have the cases for brokers only.
//!
//! Tests that do not change the broker share one node. Each of them uses a virtual host of its own.

mod setup;

mod alarm;
mod closing;
mod deletions;
mod network;
mod outages;
mod publishing_and_consuming;
mod unreadable;
