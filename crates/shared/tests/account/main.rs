//! The rules of an account, with virtual time: examples, properties, and a simulation of providers that limit the rate.
//!
//! `simulation.rs` runs workers that share one account and call a provider with a limiter of `limiter.rs`.

mod configured;
mod examples;
mod limiter;
mod lost;
mod other_limiters;
mod outage;
mod overload;
mod properties;
mod random;
mod simulation;
mod slow_refusals;
mod slow_starts;
mod token_bucket;
