//! Computes the time to which the timer of a head is parked while the head's wake is in the queue.

use crate::gauge::Gauge;
use forebay_shared::{class::Class, lane::REVISIT_MS, time::TimeMs};

/// The time to which a timer is parked. It is late enough that timers do not fire while a long queue drains. It is early
/// enough that a lost message delays its job little.
pub(super) fn parked_until(gauge: &Gauge, class: Class, now: TimeMs) -> TimeMs {
    let wait_ms = gauge.expected_wait_ms(class).saturating_mul(3);
    now.plus_ms(wait_ms.max(REVISIT_MS))
}
