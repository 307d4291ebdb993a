//! Tests of the sweeper: jobs continue after a crash, an outage or a lost message.

mod due;
mod election;
mod lost_messages;
mod probe;
mod resume;
mod resume_faults;
mod surplus;
mod takeover;
