//! `sweeper`: whatever a crash, an outage or a lost message cuts off goes on.

mod due;
mod election;
mod lost_messages;
mod takeover;
