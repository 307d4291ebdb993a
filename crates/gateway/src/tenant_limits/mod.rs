//! The limits of tenants: how many requests a tenant may make in a window of time, and how many of its jobs may be live.
//!
//! Limits need API keys. The rule is [`forebay_shared::tenant_limit`]: a gateway leases permits from the store and spends them in
//! memory, so that most requests cost no call of the store.
//!
//! - `policy`: the names of the limits. `headers`: shows the limits in responses.
//! - `permits`: the permits that this gateway has for a tenant, without I/O.
//! - `tenant`: which requests get these permits, and which wait for new ones. `lease_call`: leases permits from the store.
//!   `live_permit`: the permit of one job.
//! - [`Limiter`]: the limits of all tenants, and the tenants that are in use.
//! - `limited`: limits a request.

mod headers;
mod lease_call;
mod limited;
mod limiter;
mod live_permit;
mod permits;
mod policy;
mod tenant;

pub(crate) use limited::{Limited, add_headers, is_limited, within_limits};
pub(crate) use limiter::Limiter;
pub(crate) use live_permit::LivePermit;
