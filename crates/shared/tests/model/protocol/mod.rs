//! The only place where the model calls product code: `lane::apply`, with real lanes, events and times.
//!
//! The results are converted to the small values of the model.

mod apply;
mod change;
mod event;
mod from_protocol;
mod ids;
mod times;
mod to_protocol;

pub(crate) use self::{
    apply::Protocol,
    change::ModelChange,
    event::{ClockSkew, ModelEvent, WorkerPresence},
    ids::job_number,
};
