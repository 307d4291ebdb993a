//! Calls the only model that a provider lists, for jobs that name a provider but no model of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{Answer, Call, CallTarget, Failure, Provider, Retry};

/// The model name that means the only model that a provider lists, as in `local/*`.
pub(super) const ONLY_MODEL: &str = "*";

/// How long a model is used before the list is read again. So a worker notices within this time that a server
/// has changed its model.
const LIST_MAX_AGE: Duration = Duration::from_secs(5);

/// The most models that an error message names.
const SHOWN_MAX: usize = 20;

/// A provider that is called with the only model that it lists.
pub(super) struct OnlyModel {
    provider: Arc<dyn Provider>,
    /// The model, and when it was listed.
    listed: Mutex<Option<(String, Instant)>>,
}

impl OnlyModel {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            provider,
            listed: Mutex::default(),
        }
    }

    async fn model(&self, timeout: Duration) -> Result<String, Failure> {
        let known = self.lock().clone();
        if let Some((model, listed_at)) = known
            && listed_at.elapsed() < LIST_MAX_AGE
        {
            return Ok(model);
        }
        let models = self.provider.models(timeout).await;
        let model = choose(self.provider.name(), models)?;
        *self.lock() = Some((model.clone(), Instant::now()));
        Ok(model)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(String, Instant)>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for OnlyModel {
    fn name(&self) -> &str {
        self.provider.name()
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let started = Instant::now();
        let model = self.model(call.timeout).await?;
        let call = Call {
            model: &model,
            timeout: call.timeout.saturating_sub(started.elapsed()),
            ..*call
        };
        self.provider.call(&call).await
    }

    fn target(&self) -> CallTarget<'_> {
        self.provider.target()
    }

    async fn models(&self, timeout: Duration) -> Result<Vec<String>, Failure> {
        self.provider.models(timeout).await
    }
}

/// The only model of a list.
///
/// # Errors
/// `invalid_request` if the provider answers without a list, or if its list does not have exactly one model. Any other
/// failure of the request for the list is returned unchanged.
fn choose(provider: &str, models: Result<Vec<String>, Failure>) -> Result<String, Failure> {
    let reason = match models {
        Ok(mut models) if models.len() == 1 => return Ok(models.remove(0)),
        Ok(models) if models.is_empty() => String::from("lists none"),
        Ok(models) => format!("lists {}: {}", models.len(), shown(&models)),
        Err(failure) if has_no_list(&failure) => {
            format!("does not list any: {}", failure.error.message)
        }
        Err(failure) => return Err(failure),
    };
    Err(Failure::new(
        "invalid_request",
        format!(
            "the job names no model: set FOREBAY_MODEL, or name one in the job. The provider {provider} {reason}"
        ),
        Retry::Never,
    ))
}

/// Whether the provider answered, but not with a list.
fn has_no_list(failure: &Failure) -> bool {
    [
        "endpoint_not_found",
        "model_not_found",
        "invalid_request",
        "invalid_response",
    ]
    .contains(&failure.error.code.as_str())
}

/// The first models of a list, for an error message.
pub(super) fn shown(models: &[String]) -> String {
    let first = models[..models.len().min(SHOWN_MAX)].join(", ");
    match models.len().saturating_sub(SHOWN_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use async_trait::async_trait;
    use forebay_shared::job::Request;

    use super::{OnlyModel, choose};
    use crate::provider::{Answer, Call, Failure, Provider, Retry};

    /// Lists these models, one list for each request, and fails each call with the name of its model.
    struct Lists(Mutex<VecDeque<Vec<&'static str>>>);

    #[async_trait]
    impl Provider for Lists {
        fn name(&self) -> &'static str {
            "local"
        }

        async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
            Err(Failure::new("called", call.model, Retry::Never))
        }

        async fn models(&self, _timeout: Duration) -> Result<Vec<String>, Failure> {
            let mut lists = self.0.lock().expect("no holder of the lock panics");
            let list = lists.pop_front().expect("a list is left");
            Ok(list.into_iter().map(str::to_owned).collect())
        }
    }

    async fn called_model(provider: &OnlyModel) -> String {
        let call = Call {
            model: "*",
            request: &Request::default(),
            turns: &[],
            timeout: Duration::from_secs(60),
            trace: None,
        };
        let failure = provider.call(&call).await.expect_err("each call fails");
        failure.error.message
    }

    #[tokio::test]
    async fn the_only_listed_model_is_called_and_the_list_is_not_read_again_at_once() {
        let lists = VecDeque::from([vec!["a", "b"], vec!["qwen3"]]);
        let provider = OnlyModel::new(Arc::new(Lists(Mutex::new(lists))));
        let message = called_model(&provider).await;
        assert!(message.contains("lists 2: a, b"), "{message}");
        for _ in 0..2 {
            assert_eq!(called_model(&provider).await, "qwen3");
        }
    }

    #[test]
    fn the_error_names_the_setting_and_what_is_listed() {
        let many: Vec<String> = (0..25).map(|number| format!("m{number}")).collect();
        for (models, parts) in [
            (Ok(vec![]), ["local lists none", ""]),
            (Ok(many), ["lists 25: m0, m1,", "m19 and 5 more"]),
            (
                Err(Failure::new("endpoint_not_found", "no path", Retry::Never)),
                ["does not list any", "no path"],
            ),
        ] {
            let failure = choose("local", models).expect_err("there is not exactly one model");
            assert_eq!(failure.error.code, "invalid_request");
            assert_eq!(failure.retry, Retry::Never);
            for part in parts.into_iter().chain(["FOREBAY_MODEL"]) {
                assert!(failure.error.message.contains(part), "{failure}");
            }
        }
    }

    #[test]
    fn other_failures_of_the_request_for_the_list_are_returned_unchanged() {
        let down = Failure::new("connection_failed", "refused", Retry::Backoff);
        assert_eq!(choose("local", Err(down.clone())), Err(down));
        let key = Failure::new("authentication_failed", "no", Retry::Never);
        assert_eq!(choose("local", Err(key.clone())), Err(key));
    }
}
