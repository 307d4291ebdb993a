//! The only place where the model calls product code: `lane::apply`, with real lanes, events and times.
//!
//! The arguments are converted from the small values of the model, and the results to such values.

mod apply;
mod change;
mod event;
mod ids;
mod times;
mod to_model;
mod to_real;

pub(crate) use self::{
    apply::Protocol,
    change::ModelChange,
    event::{ClockSkew, ModelEvent, WorkerPresence},
    ids::job_number,
};
