//! Fleets: gateway and worker processes over real RabbitMQ and Redis servers.
//!
//! One file for each topic. Every test starts its own fleet, on the RabbitMQ node that this binary shares or on a node
//! of its own. Failures of servers, processes and the network are in `fleet_faults`.

mod api_keys;
mod backlog;
mod connections;
mod drain;
mod eta;
mod idempotency;
mod keys_command;
mod lists;
mod load;
mod metrics;
mod no_workers;
mod openapi;
mod provider_messages;
mod refused_submits;
mod replace_turns;
mod retry_and_delete;
mod scaling;
mod session_defaults;
mod session_edits;
mod session_patches;
mod slow_clients;
mod start;
mod submit_waits;
mod takeover;
mod tenant_limits;
mod tenants;
mod test_lock;
mod tls;
mod traces;
mod wedged_worker;
