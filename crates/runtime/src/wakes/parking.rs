//! Computes the time to which the timer of a ready head is parked: while the head's wake is in the queue, or while the queue is
//! full.

use crate::gauge::Gauge;
use forebay_shared::{class::Class, lane::REVISIT_MS, time::TimeMs};

/// The time to which a timer is parked. It is so late that timers do not fire while a long queue drains, and that while no worker
/// runs, at most about 1,000 timers are due in a second. A lost message delays its job little all the same: when the queue is empty
/// and heads are still ready, the sweeper wakes them all, whatever their timers are.
pub(super) fn parked_until(gauge: &Gauge, class: Class, now: TimeMs) -> TimeMs {
    let wait_ms = gauge.expected_wait_ms(class).saturating_mul(3);
    // One millisecond for each ready head.
    now.plus_ms(wait_ms.max(REVISIT_MS).max(gauge.ready(class)))
}
