//! The only place where the model meets the code: `lane::apply`, called with real lanes, events and times. Its
//! results are read back into the small values of the model.

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
