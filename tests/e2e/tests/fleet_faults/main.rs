//! Faults of servers, processes and the network in a fleet under load. No accepted job is lost, no job
//! completes twice, and every session stays in order.
//!
//! One file for each kind of fault. The other files are tools of these tests. Each test causes its fault several times
//! (`repeats`) while a load is submitted (`load`). At each fault the provider holds back its replies (`provider`), so
//! some jobs are unfinished.

mod calls;
mod cut_off;
mod full_redis;
mod killed;
mod load;
mod lost_messages;
mod memory_alarm;
mod messages;
mod pace;
mod permits;
mod provider;
mod purged;
mod rabbit_restarts;
mod recovery;
mod redis_restarts;
mod refusal;
mod repeats;
mod seed;
mod session;
mod stopped_worker;
mod traffic;
mod unreadable;
mod workers;
