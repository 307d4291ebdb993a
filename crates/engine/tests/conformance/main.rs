//! The conformance suite of the two ports: one set of cases, which every engine runs.
//!
//! A case knows only `dyn Store` and `dyn Queue` and the rules in `forebay_shared::lane`, through
//! which all its commits are made ([`drive`]). To hold another engine to it, give it a [`Harness`]
//! and name it below; the cases stay as they are.
//!
//! [`Harness`]: harness::Harness

mod drive;
mod embedded;
mod harness;
mod rabbitmq;
mod redis;
#[macro_use]
mod suite;

mod commit;
mod counts;
mod heads;
mod jobs;
mod keys;
mod notices;
mod presence;
mod queue;
mod restart;
mod sessions;
mod timers;
mod work;

conformance!(on_embedded, crate::embedded::EmbeddedHarness);
conformance!(on_redis, crate::redis::RedisHarness);
conformance!(on_redis_cluster, crate::redis::ClusterHarness);
conformance!(on_rabbitmq, crate::rabbitmq::RabbitHarness);
