//! Fleets: gateways and workers as processes of their own over a real RabbitMQ and a real Redis.
//!
//! One file for each theme. Every test has a fleet of its own, on the one RabbitMQ node of this binary
//! or on its own. What happens to a fleet whose servers, processes and network fail is in
//! `fleet_faults`.

mod backlog;
mod connections;
mod drain;
mod idempotency;
mod load;
mod machine;
mod no_workers;
mod scaling;
mod start;
mod takeover;
mod tls;
