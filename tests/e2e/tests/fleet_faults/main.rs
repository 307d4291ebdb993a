//! Faults of servers, processes and the network in a fleet under load. No accepted job is lost, no job
//! completes twice, and every session stays in order.
//!
//! Each kind of fault has one file. The other files are tools of these tests; they are listed separately below. Each
//! test causes its fault several times (`repeats`) while a load is submitted (`load`). At each fault the provider holds
//! back its replies (`provider`), so some jobs are unfinished.

// The faults.
mod cut_off;
mod full_redis;
mod killed;
mod lost_messages;
mod memory_alarm;
mod purged;
mod rabbit_restarts;
mod redis_restarts;
mod stopped_worker;
mod unreadable;

// The tools of these tests.
mod calls;
mod load;
mod messages;
mod pace;
mod permits;
mod provider;
mod recovery;
mod refusal;
mod repeats;
mod seed;
mod session;
mod traffic;
mod workers;
