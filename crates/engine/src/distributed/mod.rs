//! The distributed engine: the store in Redis, the queue in RabbitMQ, for a fleet of gateways and
//! workers. Two halves that know nothing of each other, each behind its own port.

pub mod queue;
pub mod store;
