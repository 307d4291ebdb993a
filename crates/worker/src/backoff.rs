//! How long a job waits for its next try: a pure function of what is known and of a random number.

use crate::settings::WorkerSettings;

/// The longest pause that a provider can ask for, in milliseconds.
const ASKED_MS_MAX: u64 = 60 * 60 * 1_000;

/// The pause before the next try, in milliseconds, after `tries` failures before this one. It doubles
/// with each and lies, by `random` (0 to under 1), in the upper half of that, so that jobs that failed
/// together do not come back together. Never earlier than the provider asked for with `asked_ms`,
/// of which more than an hour counts as an hour.
pub(crate) fn pause_ms(
    tries: u32,
    asked_ms: Option<u64>,
    random: f64,
    settings: &WorkerSettings,
) -> u64 {
    let doubled = 2_u64.checked_pow(tries).map_or(u64::MAX, |factor| {
        settings.backoff_base_ms.saturating_mul(factor)
    });
    let longest = doubled.min(settings.backoff_max_ms);
    let own = longest / 2 + share(longest - longest / 2, random);
    let asked = asked_ms.map_or(0, |asked| {
        let asked = asked.min(ASKED_MS_MAX);
        (asked + share(asked / 10, random)).min(ASKED_MS_MAX)
    });
    own.max(asked)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of at most a few hours in milliseconds, where a rounding does not matter"
)]
fn share(ms: u64, random: f64) -> u64 {
    (ms as f64 * random.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ASKED_MS_MAX, pause_ms};
    use crate::settings::WorkerSettings;

    const SETTINGS: WorkerSettings = WorkerSettings {
        concurrency: 1,
        tries_max: 5,
        call_timeout_ms: 1,
        drain_ms: 1,
        backoff_base_ms: 1_000,
        backoff_max_ms: 60_000,
    };

    #[test]
    fn doubles_up_to_the_longest() {
        let least = |tries| pause_ms(tries, None, 0.0, &SETTINGS);
        assert_eq!([0, 1, 2, 3].map(least), [500, 1_000, 2_000, 4_000]);
        assert_eq!([6, 7, 63, 64, u32::MAX].map(least), [30_000; 5]);
        assert_eq!(pause_ms(0, None, 0.999_999, &SETTINGS), 999);
    }

    #[test]
    fn what_the_provider_asks_for_is_obeyed_where_it_is_longer() {
        assert_eq!(pause_ms(0, Some(7_000), 0.0, &SETTINGS), 7_000);
        assert_eq!(pause_ms(0, Some(0), 0.0, &SETTINGS), 500);
        assert_eq!(pause_ms(4, Some(3_000), 0.0, &SETTINGS), 8_000);
        assert_eq!(pause_ms(0, Some(u64::MAX), 0.9, &SETTINGS), ASKED_MS_MAX);
    }

    proptest! {
        #[test]
        fn is_within_its_bounds(tries in 0_u32..200, asked in proptest::option::of(any::<u64>()), random in 0.0..1.0) {
            let pause = pause_ms(tries, asked, random, &SETTINGS);
            prop_assert!(pause >= asked.unwrap_or(0).min(ASKED_MS_MAX));
            prop_assert!((500..=ASKED_MS_MAX).contains(&pause));
            if asked.is_none() {
                prop_assert!(pause <= 60_000);
            }
        }
    }
}
