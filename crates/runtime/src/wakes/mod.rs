//! Publishes wakes in the background, and parks the timers of those that the queue has confirmed.
//!
//! No caller waits for a publish. If a wake is lost here, or never confirmed, its timer is not parked. Then the sweeper
//! requests another wake.

mod handle;
mod health;
mod parking;
mod publisher;
mod request;

pub use handle::Wakes;
pub use publisher::WakePublisher;
pub use request::WakeRequest;
