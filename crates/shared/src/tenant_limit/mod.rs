//! The limits of a tenant: how many requests it may make in a window of time, and how many live jobs it may have.
//!
//! All gateways of a fleet share a limit. Each leases permits from the tenant's usage document, which the store holds, and spends
//! them without a call of the store. This module performs no I/O: the caller loads the document, counts the live jobs, calls
//! [`lease`], and stores the new document with a compare-and-set.
//!
//! - [`TenantLimits`]: the limits. [`TenantUsage`]: the document.
//! - [`lease`]: the rule.

mod lease;
mod limits;
#[cfg(test)]
mod tests;
mod usage;

pub use lease::{Grant, LEASE_MS, LeaseRequest, LivePermits, RequestPermits, lease};
pub use limits::{LiveJobLimit, QUOTA_MAX, RequestLimit, TenantLimits, WINDOW_S_MAX};
pub use usage::{TenantUsage, UsageLease, UsageWindow};
