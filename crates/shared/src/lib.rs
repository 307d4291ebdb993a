//! The domain of Forebay, shared by gateways and workers: types, messages, rules, and the traits of store and queue. It performs
//! no I/O and knows no database, no broker, no HTTP.
//!
//! In reading order:
//! - [`time`], [`ids`], [`class`], [`turn`], [`job`], [`session`], [`session_settings`]: the types of the domain.
//! - [`secret`]: a key or a password, in a type that does not print its value.
//! - [`document`]: the versions of stored documents, and the fields that a release does not know.
//! - [`lane`]: the rules, as pure functions.
//! - [`account`]: whether a provider may be called now, and at which rate.
//! - [`api_key`]: the API keys that the store holds.
//! - [`tenant_limit`]: how many requests a tenant may make, and how many live jobs it may have.
//! - [`wake`], [`queue`], [`store`]: the job message, and the traits of the queue and of the store, which engines implement.
//! - [`backoff`]: the delay before an operation that failed is repeated.

pub mod account;
pub mod api_key;
pub mod backoff;
pub mod class;
pub mod document;
pub mod ids;
pub mod job;
pub mod lane;
pub mod queue;
pub mod secret;
pub mod session;
pub mod session_settings;
pub mod store;
pub mod tenant_limit;
pub mod time;
pub mod turn;
pub mod wake;
