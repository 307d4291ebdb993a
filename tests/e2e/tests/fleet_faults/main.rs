//! Fleets whose servers, processes and network fail during work: no accepted job is lost or done twice, and no session
//! gets out of order.
//!
//! One file for each kind of fault. Each fault strikes three times (or less often if it takes long, see `strikes`). It
//! strikes while a load is submitted (`load`), and while calls are held at the provider (`provider`), so that some jobs
//! are unfinished.

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
mod strikes;
mod traffic;
mod unreadable;
mod workers;
