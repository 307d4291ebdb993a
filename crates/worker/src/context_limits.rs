//! Remembers the context limits of models. Refused calls of this process reveal a limit, and later jobs use it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::context::limit::ContextLimit;

/// The most models whose limits are remembered. Above this number, a new limit replaces the oldest one.
const MODELS_MAX: usize = 1_000;
/// How long a limit is remembered after the last refusal. Then it is forgotten, because the server may have been started
/// again with a longer context.
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);

/// The known context limits.
#[derive(Default)]
pub(crate) struct ContextLimits {
    models: Mutex<HashMap<ModelKey, RememberedLimit>>,
}

/// A model of one provider.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ModelKey {
    provider: String,
    model: String,
}

impl ModelKey {
    fn new(provider: &str, model: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
        }
    }
}

#[derive(Clone, Copy)]
struct RememberedLimit {
    limit: ContextLimit,
    /// The time of the newest refusal.
    refused_at: Instant,
}

impl ContextLimits {
    /// The known limit of a model.
    pub(crate) fn get(&self, provider: &str, model: &str) -> Option<ContextLimit> {
        let models = self.lock();
        // Building the key allocates. Most workers know no limit and need no key.
        if models.is_empty() {
            return None;
        }
        let remembered = models.get(&ModelKey::new(provider, model))?;
        (remembered.refused_at.elapsed() < REMEMBERED_FOR).then_some(remembered.limit)
    }

    /// Remembers the limit of a model.
    pub(crate) fn remember(&self, provider: &str, model: &str, limit: ContextLimit) {
        let key = ModelKey::new(provider, model);
        let mut models = self.lock();
        if models.len() >= MODELS_MAX && !models.contains_key(&key) {
            let oldest = models
                .iter()
                .min_by_key(|(_, remembered)| remembered.refused_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                models.remove(&oldest);
            }
        }
        let refused_at = Instant::now();
        models.insert(key, RememberedLimit { limit, refused_at });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelKey, RememberedLimit>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::{ContextLimits, MODELS_MAX, REMEMBERED_FOR};
    use crate::context::limit::ContextLimit;

    fn limit(tokens: u64) -> ContextLimit {
        ContextLimit {
            tokens,
            is_stated: true,
            counted: None,
        }
    }

    fn tokens(limits: &ContextLimits, provider: &str, model: &str) -> Option<u64> {
        limits.get(provider, model).map(|limit| limit.tokens)
    }

    #[tokio::test(start_paused = true)]
    async fn each_model_of_each_provider_has_its_own_limit_until_it_is_forgotten() {
        let limits = ContextLimits::default();
        assert_eq!(tokens(&limits, "a", "m"), None);
        limits.remember("a", "m", limit(1_024));
        limits.remember("b", "m", limit(2_048));
        assert_eq!(tokens(&limits, "a", "m"), Some(1_024));
        assert_eq!(tokens(&limits, "b", "m"), Some(2_048));
        assert_eq!(tokens(&limits, "a", "n"), None);
        advance(REMEMBERED_FOR).await;
        assert_eq!(tokens(&limits, "a", "m"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_limit_replaces_the_oldest_one() {
        let limits = ContextLimits::default();
        for number in 0..=MODELS_MAX {
            limits.remember("a", &number.to_string(), limit(1_024));
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(tokens(&limits, "a", "0"), None);
        assert_eq!(tokens(&limits, "a", "1"), Some(1_024));
        assert_eq!(tokens(&limits, "a", &MODELS_MAX.to_string()), Some(1_024));
    }
}
