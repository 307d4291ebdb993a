//! Computes how long a failed job waits for its next try. The function is pure: the caller passes a random number.

use std::time::Duration;

use forebay_shared::backoff::Backoff;

use crate::settings::WorkerSettings;

/// The longest delay that a provider can ask for. A longer delay counts as this one.
const PROVIDER_DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// The delay before the next try, in milliseconds, when the job has failed `tries` times before this
/// failure.
///
/// The delay is the backoff of the settings, or the delay that the provider asks for if that is longer. The provider's delay
/// counts as at most one hour.
///
/// `random` is uniform from 0 to 1. It spreads the retries of jobs that failed together. The backoff is between half of its
/// full length (`random` = 0) and its full length (1). The provider's delay becomes up to a tenth longer, but not longer than
/// one hour.
pub(crate) fn retry_delay_ms(
    tries: u32,
    provider_delay_ms: Option<u64>,
    random: f64,
    settings: &WorkerSettings,
) -> u64 {
    let backoff = Backoff::new(
        Duration::from_millis(settings.backoff_base_ms),
        Duration::from_millis(settings.backoff_max_ms),
    );
    let provider_delay = Duration::from_millis(provider_delay_ms.unwrap_or(0));
    let jittered_provider_delay = provider_delay
        .mul_f64(1.0 + random / 10.0)
        .min(PROVIDER_DELAY_MAX);
    let delay = backoff.delay(tries, random).max(jittered_provider_delay);
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::retry_delay_ms;
    use crate::settings::WorkerSettings;

    const HOUR_MS: u64 = 60 * 60 * 1_000;

    const SETTINGS: WorkerSettings = WorkerSettings {
        concurrency: 1,
        results_waits_max: 1,
        tries_max: 5,
        call_timeout_ms: 1,
        drain_ms: 1,
        backoff_base_ms: 1_000,
        backoff_max_ms: 60_000,
        drops_wakes: false,
        loses_wakes: false,
    };

    #[test]
    fn the_shortest_delay_doubles_up_to_half_the_maximum() {
        let shortest = |tries| retry_delay_ms(tries, None, 0.0, &SETTINGS);
        assert_eq!([0, 1, 2, 3].map(shortest), [500, 1_000, 2_000, 4_000]);
        assert_eq!([6, 7, 63, 64, u32::MAX].map(shortest), [30_000; 5]);
        assert_eq!(retry_delay_ms(0, None, 0.999_999, &SETTINGS), 999);
    }

    #[test]
    fn a_longer_delay_of_the_provider_replaces_the_backoff() {
        assert_eq!(retry_delay_ms(0, Some(7_000), 0.0, &SETTINGS), 7_000);
        assert_eq!(retry_delay_ms(0, Some(0), 0.0, &SETTINGS), 500);
        assert_eq!(retry_delay_ms(4, Some(3_000), 0.0, &SETTINGS), 8_000);
        assert_eq!(retry_delay_ms(0, Some(u64::MAX), 0.9, &SETTINGS), HOUR_MS);
    }

    proptest! {
        #[test]
        fn the_delay_is_within_its_bounds(
            tries in 0_u32..200,
            provider_delay_ms in proptest::option::of(any::<u64>()),
            random in 0.0..1.0,
        ) {
            let delay_ms = retry_delay_ms(tries, provider_delay_ms, random, &SETTINGS);
            prop_assert!(delay_ms >= provider_delay_ms.unwrap_or(0).min(HOUR_MS));
            prop_assert!((500..=HOUR_MS).contains(&delay_ms));
            if provider_delay_ms.is_none() {
                prop_assert!(delay_ms <= 60_000);
            }
        }
    }
}
