//! Computes the time to which the timer of a ready head is parked: while the head's wake is in the queue, or while the queue is
//! full.

use crate::gauge::Gauge;
use forebay_shared::{class::Class, lane::REVISIT_MS, time::TimeMs};

/// The time to which a timer is parked. It is late enough that timers do not fire while a long queue drains. It is early
/// enough that a lost message delays its job little.
pub(super) fn parked_until(gauge: &Gauge, class: Class, now: TimeMs) -> TimeMs {
    let wait_ms = gauge.expected_wait_ms(class).saturating_mul(3);
    now.plus_ms(wait_ms.max(REVISIT_MS))
}

/// The time to which the timer of a head is parked that has no wake because the queue is full. The sweeper wakes the head when
/// the queue has space, so this timer is only needed if that fails. It is late enough that about 1,000 such timers, at most, are
/// due in a second.
pub(super) fn parked_without_wake_until(gauge: &Gauge, class: Class, now: TimeMs) -> TimeMs {
    parked_until(gauge, class, now).max(now.plus_ms(gauge.ready(class)))
}
