//! The distributed engine, for a fleet of gateways and workers: the store in Redis and the queue in RabbitMQ.
//! Store and queue do not depend on each other. Each implements its own trait.

pub mod queue;
pub mod store;
