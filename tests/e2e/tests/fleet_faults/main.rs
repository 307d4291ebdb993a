//! Faults in a fleet under load: servers, processes and the network fail. No accepted job is lost, no job
//! completes twice, and every session stays in order.
//!
//! One file for each kind of fault; the other files are their tools. Each test causes its fault several times (`repeats`) while a load is submitted
//! (`load`). The provider holds back its replies meanwhile (`provider`), so every fault meets unfinished jobs.

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
