//! Tests of this package with real server processes: starts, kills, restarts with the same data, and alarms. A server must
//! leave nothing behind when its test ends.

mod orphans;
mod proxy;
mod rabbit;
mod redis;
mod tls;
