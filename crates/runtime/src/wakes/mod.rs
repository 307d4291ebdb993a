//! Publishes wakes in the background, and parks the timers of the heads whose wakes the queue has confirmed.
//!
//! No caller waits for a publish. If a wake is dropped before it is published, or is never confirmed, the timer is not
//! parked. Then the sweeper requests another wake. If the queue is full, the timer is parked too, and the sweeper wakes the head
//! when the queue has space.

mod handle;
mod health;
mod parking;
mod parks;
mod publisher;
mod request;
mod surplus;

pub use handle::Wakes;
pub use publisher::WakePublisher;
pub use request::WakeRequest;
