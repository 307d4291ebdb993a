//! The label of a model. A client can name any model, so the label must be bounded.
//!
//! A model has a label of its own if the configuration names it, or if its provider has answered a call of it. At most
//! [`ANSWERED_MAX`] models of each provider get a label by an answer, because a local server may answer for any name. A provider
//! that answers for every name ([`ModelLabels::set_answers_any`]) has only the labels of configured models. All other models are
//! [`OTHER`].

use std::collections::{HashMap, HashSet};

use crate::bounded::OTHER;

/// The most models of a provider that get a label because the provider has answered.
pub const ANSWERED_MAX: usize = 100;

/// The most bytes of a model's label.
const LABEL_BYTES_MAX: usize = 200;

/// The models with a label of their own, by provider.
#[derive(Debug, Default)]
pub struct ModelLabels {
    by_provider: HashMap<String, ProviderModels>,
}

/// The models of one provider with a label of their own.
#[derive(Debug, Default)]
struct ProviderModels {
    models: HashSet<String>,
    /// How many of `models` have a label because the provider has answered.
    answered: usize,
    /// Whether the provider answers for every name.
    answers_any: bool,
}

impl ModelLabels {
    /// Adds a model that the configuration names. A name of more than 200 bytes gets no label.
    pub fn add_configured(&mut self, provider: &str, model: &str) {
        if model.len() <= LABEL_BYTES_MAX {
            self.provider(provider).models.insert(model.to_owned());
        }
    }

    /// Records that a provider answers for every name, so that an answer does not show that the model exists.
    pub fn set_answers_any(&mut self, provider: &str) {
        self.provider(provider).answers_any = true;
    }

    /// Records that the provider has answered a call of the model.
    pub fn record_answer(&mut self, provider: &str, model: &str) {
        let known = self.by_provider.get(provider);
        let takes_no_more =
            known.is_some_and(|known| known.answers_any || known.answered >= ANSWERED_MAX);
        let is_known = known.is_some_and(|known| known.models.contains(model));
        if !takes_no_more && !is_known && model != OTHER && model.len() <= LABEL_BYTES_MAX {
            let provider = self.provider(provider);
            provider.answered += 1;
            provider.models.insert(model.to_owned());
        }
    }

    /// The label of a model: its name, or [`OTHER`].
    #[must_use]
    pub fn of<'a>(&self, provider: &str, model: &'a str) -> &'a str {
        let known = self.by_provider.get(provider);
        let is_known = known.is_some_and(|known| known.models.contains(model));
        if is_known { model } else { OTHER }
    }

    fn provider(&mut self, name: &str) -> &mut ProviderModels {
        self.by_provider.entry(name.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWERED_MAX, ModelLabels, OTHER};

    #[test]
    fn a_model_has_a_label_if_it_is_configured_or_was_answered() {
        let mut labels = ModelLabels::default();
        labels.add_configured("openai", "m-1");
        assert_eq!(labels.of("openai", "m-1"), "m-1");
        assert_eq!(labels.of("gemini", "m-1"), OTHER, "of another provider");
        assert_eq!(labels.of("openai", "m-2"), OTHER);
        labels.record_answer("openai", "m-2");
        assert_eq!(labels.of("openai", "m-2"), "m-2");
    }

    #[test]
    fn many_answered_models_get_a_bounded_number_of_labels() {
        let mut labels = ModelLabels::default();
        labels.add_configured("local", "named");
        for number in 0..10_000 {
            let model = format!("model-{number}");
            labels.record_answer("local", &model);
            // A repeated answer uses no further label.
            labels.record_answer("local", &model);
        }
        let own = (0..10_000).filter(|number| {
            let model = format!("model-{number}");
            labels.of("local", &model) != OTHER
        });
        assert_eq!(own.count(), ANSWERED_MAX);
        assert_eq!(labels.of("local", "named"), "named");
        labels.add_configured("local", "model-9999");
        assert_eq!(labels.of("local", "model-9999"), "model-9999");
    }

    #[test]
    fn invented_models_of_one_provider_use_no_label_of_another() {
        let mut labels = ModelLabels::default();
        labels.set_answers_any("simulated");
        labels.add_configured("simulated", "simulated");
        for number in 0..1_000 {
            let model = format!("m{number}");
            labels.record_answer("simulated", &model);
            labels.record_answer("local", &model);
            assert_eq!(labels.of("simulated", &model), OTHER);
        }
        assert_eq!(labels.of("simulated", "simulated"), "simulated");
        labels.record_answer("openai", "real");
        assert_eq!(labels.of("openai", "real"), "real");
    }

    #[test]
    fn a_very_long_name_gets_no_label() {
        let mut labels = ModelLabels::default();
        let model = "m".repeat(201);
        labels.record_answer("local", &model);
        labels.add_configured("local", &model);
        assert_eq!(labels.of("local", &model), OTHER);
    }
}
