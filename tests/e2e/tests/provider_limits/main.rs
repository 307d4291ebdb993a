//! Providers that limit their rate, are overloaded, are away for a while, or fail for some jobs. The jobs wait until the provider accepts
//! their calls, and the queue drains at the provider's rate.
//!
//! Each test runs over both engines: one process over the embedded engine, and a fleet of one gateway and two workers over
//! Redis and RabbitMQ.

#[macro_use]
mod installation;

// The tests.
mod backlog;
mod failing_job;
mod lost_accounts;
mod outage;
mod overload;
mod rate_limit;
mod two_providers;

// The tools of these tests.
mod api_view;
mod cost;
mod jobs;
mod steady_load;
mod test_lock;
