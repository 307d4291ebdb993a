//! The metrics of provider calls.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use forebay_telemetry::genai;
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::{
    bounded::{BoundedLabels, OTHER},
    buckets::DurationHistogram,
    model_label::ModelLabels,
};

/// The most error codes that have a label of their own.
const ERRORS_MAX: usize = 64;
/// The most pairs of a model and an error code that have a series of their own. A series has about 20 lines. Beyond this
/// number, the model of a failed call is `other`.
const FAILED_MODELS_MAX: usize = 200;
/// The most providers that have a label of their own. The configuration names all providers.
const PROVIDERS_MAX: usize = 200;

/// The labels of all metrics of a call except its duration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallLabels {
    operation: &'static str,
    provider: &'static str,
    model: Arc<str>,
}

/// The labels of a call's duration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DurationLabels {
    call: CallLabels,
    /// `None` for an answer.
    error: Option<&'static str>,
}

impl EncodeLabelSet for CallLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let labels = [
            (genai::OPERATION_LABEL, self.operation),
            (genai::PROVIDER_LABEL, self.provider),
            (genai::REQUEST_MODEL_LABEL, &self.model),
        ];
        labels.encode(encoder)
    }
}

impl EncodeLabelSet for DurationLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        self.call.encode(encoder)?;
        match self.error {
            Some(error) => [(genai::ERROR_TYPE_LABEL, error)].encode(encoder),
            None => Ok(()),
        }
    }
}

/// The metrics of the answered calls of one model. A call looks them up once.
#[derive(Debug)]
struct ModelSeries {
    labels: CallLabels,
    answered: Histogram,
    first_byte: Histogram,
    input_tokens: Counter,
    output_tokens: Counter,
}

/// The tokens of an answer, as the provider reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the input, cached ones included.
    pub input: u64,
    /// Tokens of the output, those of reasoning included.
    pub output: u64,
    /// Input tokens that the provider had in its cache.
    pub cached_input: Option<u64>,
    /// Output tokens that the model spent on reasoning.
    pub reasoning: Option<u64>,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedCall<'a> {
    /// The name of the operation: `chat` or `generate_content`.
    pub operation: &'static str,
    /// The provider, as the configuration names it.
    pub provider: &'a str,
    /// The model, as it is sent to the provider.
    pub model: &'a str,
    /// How long the call took.
    pub duration: Duration,
    /// The time to the first byte of the last answer, if one came. Recorded only if the call succeeded, because refusals are
    /// faster than answers.
    pub first_byte: Option<Duration>,
    /// The tokens of an answer, or the code of the error.
    pub result: Result<Option<Tokens>, &'a str>,
}

/// The metrics of provider calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    durations: Family<DurationLabels, Histogram, DurationHistogram>,
    first_bytes: Family<CallLabels, Histogram, DurationHistogram>,
    input_tokens: Family<CallLabels, Counter>,
    output_tokens: Family<CallLabels, Counter>,
    cached_input_tokens: Family<CallLabels, Counter>,
    reasoning_tokens: Family<CallLabels, Counter>,
    errors: BoundedLabels,
    providers: BoundedLabels,
    labels: Mutex<ModelLabels>,
    /// The labels of failed calls that have a series with their model.
    failed: Mutex<HashSet<DurationLabels>>,
    /// The metrics of each labelled model, by provider and model.
    series: RwLock<HashMap<String, HashMap<String, Arc<ModelSeries>>>>,
}

impl Default for CallMetrics {
    fn default() -> Self {
        let shared = Shared {
            durations: Family::new_with_constructor(DurationHistogram),
            first_bytes: Family::new_with_constructor(DurationHistogram),
            input_tokens: Family::default(),
            output_tokens: Family::default(),
            cached_input_tokens: Family::default(),
            reasoning_tokens: Family::default(),
            errors: BoundedLabels::new(ERRORS_MAX),
            providers: BoundedLabels::new(PROVIDERS_MAX),
            labels: Mutex::default(),
            failed: Mutex::default(),
            series: RwLock::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl CallMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let shared = &self.shared;
        registry.register(
            genai::INFERENCE_DURATION_METRIC,
            "How long calls of providers took; calls without an answer have an error_type",
            shared.durations.clone(),
        );
        registry.register(
            genai::FIRST_BYTE_DURATION_METRIC,
            "Time to the first byte of a provider's answer",
            shared.first_bytes.clone(),
        );
        registry.register(
            genai::INPUT_TOKENS_METRIC,
            "Input tokens that providers reported",
            shared.input_tokens.clone(),
        );
        registry.register(
            genai::OUTPUT_TOKENS_METRIC,
            "Output tokens that providers reported",
            shared.output_tokens.clone(),
        );
        registry.register(
            genai::CACHED_INPUT_TOKENS_METRIC,
            "Input tokens that providers had in their caches",
            shared.cached_input_tokens.clone(),
        );
        registry.register(
            genai::REASONING_TOKENS_METRIC,
            "Output tokens that models spent on reasoning",
            shared.reasoning_tokens.clone(),
        );
    }

    /// Gives a model that the configuration names a label of its own.
    pub fn add_configured_model(&self, provider: &str, model: &str) {
        self.labels().add_configured(provider, model);
    }

    /// Records that a provider answers calls of any model name, so that only its configured models get labels.
    pub fn set_answers_any_model(&self, provider: &str) {
        self.labels().set_answers_any(provider);
    }

    /// Records a call that has ended.
    pub fn record(&self, call: &EndedCall<'_>) {
        let tokens = match call.result {
            Ok(tokens) => tokens,
            Err(code) => {
                self.record_failure(call, code);
                return;
            }
        };
        let series = self.answered_series_of(call);
        series.answered.observe(call.duration.as_secs_f64());
        if let Some(first_byte) = call.first_byte {
            series.first_byte.observe(first_byte.as_secs_f64());
        }
        if let Some(tokens) = tokens {
            self.record_tokens(&series, tokens);
        }
    }

    fn record_failure(&self, call: &EndedCall<'_>, code: &str) {
        let shared = &self.shared;
        let model = self.labels().of(call.provider, call.model);
        let mut labels = DurationLabels {
            call: self.labels_of(call, model),
            error: Some(match shared.errors.of(code) {
                OTHER => genai::OTHER_ERROR,
                code => code,
            }),
        };
        if model != OTHER {
            let failed = shared.failed.lock();
            let mut failed = failed.unwrap_or_else(PoisonError::into_inner);
            if failed.len() < FAILED_MODELS_MAX {
                failed.insert(labels.clone());
            } else if !failed.contains(&labels) {
                labels.call.model = Arc::from(OTHER);
            }
        }
        let durations = shared.durations.get_or_create(&labels);
        durations.observe(call.duration.as_secs_f64());
    }

    fn record_tokens(&self, series: &ModelSeries, tokens: Tokens) {
        series.input_tokens.inc_by(tokens.input);
        series.output_tokens.inc_by(tokens.output);
        let details = [
            (&self.shared.cached_input_tokens, tokens.cached_input),
            (&self.shared.reasoning_tokens, tokens.reasoning),
        ];
        for (family, tokens) in details {
            if let Some(tokens) = tokens {
                family.get_or_create(&series.labels).inc_by(tokens);
            }
        }
    }

    /// The metrics of the answers of the call's model. Costs no allocation after the first call of a model.
    fn answered_series_of(&self, call: &EndedCall<'_>) -> Arc<ModelSeries> {
        let shared = &self.shared;
        let model = {
            let mut labels = self.labels();
            labels.record_answer(call.provider, call.model);
            labels.of(call.provider, call.model)
        };
        let all = shared.series.read();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        let known = all.get(call.provider).and_then(|models| models.get(model));
        if let Some(series) = known {
            return Arc::clone(series);
        }
        drop(all);
        let labels = self.labels_of(call, model);
        let duration = DurationLabels {
            call: labels.clone(),
            error: None,
        };
        let series = Arc::new(ModelSeries {
            answered: shared.durations.get_or_create_owned(&duration),
            first_byte: shared.first_bytes.get_or_create_owned(&labels),
            input_tokens: shared.input_tokens.get_or_create_owned(&labels),
            output_tokens: shared.output_tokens.get_or_create_owned(&labels),
            labels,
        });
        let mut all = shared
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let models = all.entry(call.provider.to_owned()).or_default();
        let series = models.entry(model.to_owned()).or_insert(series);
        Arc::clone(series)
    }

    fn labels_of(&self, call: &EndedCall<'_>, model: &str) -> CallLabels {
        let providers = &self.shared.providers;
        let provider = providers.of(call.provider);
        CallLabels {
            operation: call.operation,
            provider: if provider == OTHER {
                OTHER
            } else {
                providers.of(genai::provider_name(provider))
            },
            model: Arc::from(model),
        }
    }

    fn labels(&self) -> std::sync::MutexGuard<'_, ModelLabels> {
        let labels = self.shared.labels.lock();
        labels.unwrap_or_else(PoisonError::into_inner)
    }
}
