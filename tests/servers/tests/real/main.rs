//! Tests of this package with real server processes: starts, kills, restarts with the same data, alarms, and what is
//! left of a server when its test ends.

mod orphans;
mod proxy;
mod rabbit;
mod redis;
mod tls;
