//! Shows that the servers of this package do what its documentation says: they start, die, come back with
//! their data, raise alarms, and leave nothing behind.

mod orphans;
mod proxy;
mod rabbit;
mod redis;
mod tls;
