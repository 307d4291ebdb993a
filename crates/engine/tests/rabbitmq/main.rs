//! The RabbitMQ queue against real brokers, and against what happens to them. What every queue owes its
//! users is in the conformance suite; here is what only a broker can do.
//!
//! Tests that leave the broker as it is share one node, each in a virtual host of its own.

mod scene;

mod alarm;
mod carrying;
mod closing;
mod losses;
mod network;
mod outages;
mod unreadable;
