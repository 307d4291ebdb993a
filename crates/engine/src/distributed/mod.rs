//! The distributed engine, for a fleet of gateways and workers: the store in Redis and the queue in RabbitMQ.
//! The two do not depend on each other. Each implements a port of its own.

pub mod queue;
pub mod store;
