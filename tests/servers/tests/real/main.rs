//! The servers of this package with real processes: they start, are killed, restart with their data, raise alarms, and
//! leave nothing behind.

mod orphans;
mod proxy;
mod rabbit;
mod redis;
mod tls;
