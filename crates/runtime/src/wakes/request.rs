//! A request for a wake.

use forebay_shared::{time::TimeMs, wake::Wake};

/// A wake to publish.
pub struct WakeRequest {
    /// The wake.
    pub wake: Wake,
    /// The timer of the head. Once the wake is confirmed, the timer is parked if it still has this time.
    pub timer: TimeMs,
    /// The deadline of the head. Its timer is never parked beyond it.
    pub deadline: TimeMs,
    /// Whether this wake is part of a refill of the queue (`sweeper/refill.rs`). Other wakes are not published while ready heads
    /// wait without a wake; this one is.
    pub is_refill: bool,
}
