//! The processes of a measurement: how they are started, and what they use.

pub(crate) mod bare;
pub(crate) mod bare_gateway;
pub(crate) mod binary;
pub(crate) mod mock;
pub(crate) mod subject;
pub(crate) mod usage;
