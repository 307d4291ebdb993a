//! The conformance suite of the traits `Store` and `Queue`: one set of cases, which every engine runs.
//!
//! A case uses only `dyn Store`, `dyn Queue` and the rules in `forebay_shared::lane`. A [`test_lane`] turns the results of
//! the rules into commits. A topic and a case read as one sentence, such as `sessions: are_evicted_by_last_use`. To test
//! another engine, implement [`Harness`] for the engine and add a line below.
//!
//! [`Harness`]: harness::Harness

mod embedded;
mod harness;
mod rabbitmq;
mod redis;
mod test_lane;
#[macro_use]
mod suite;

mod accounts;
mod api_keys;
mod commit;
mod counts;
mod deferred;
mod heads;
mod jobs;
mod keys;
mod listing;
mod notices;
mod presence;
mod queue;
mod replaced_turns;
mod restart;
mod run_inputs;
mod session_listing;
mod session_writes;
mod sessions;
mod tenant_limits;
mod timers;

conformance!(on_embedded, crate::embedded::EmbeddedHarness);
conformance!(on_redis, crate::redis::RedisHarness);
conformance!(on_redis_cluster, crate::redis::ClusterHarness);
conformance!(on_rabbitmq, crate::rabbitmq::RabbitHarness);
