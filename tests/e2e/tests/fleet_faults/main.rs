//! Fleets whose servers, processes and network fail while they are at work: nothing that was accepted is
//! lost, nothing is doubled, no session gets out of order.
//!
//! One file for each kind of fault. Each strikes at least three times, under a load that is being submitted
//! meanwhile (`load`), while calls are held back at the provider (`provider`), so that jobs are unfinished
//! for sure.

mod calls;
mod cut_off;
mod full_redis;
mod killed;
mod load;
mod lost_messages;
mod machine;
mod memory_alarm;
mod messages;
mod provider;
mod purged;
mod rabbit_restarts;
mod redis_restarts;
mod refusal;
mod returning;
mod seed;
mod session;
mod stopped_worker;
mod traffic;
mod unreadable;
mod workers;
