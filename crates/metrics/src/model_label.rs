//! The label of a model. A client can name any model, so the label must be bounded.
//!
//! A model has a label of its own if the configuration names it, or if its provider has answered a call of it. At most
//! [`ANSWERED_MAX`] models get a label by an answer, because a local server may answer for any name. All others are
//! [`OTHER`].

use std::collections::{HashMap, HashSet};

use crate::bounded::OTHER;

/// The most models that get a label because their provider has answered.
pub const ANSWERED_MAX: usize = 100;

/// The most bytes of a model's label.
const LABEL_BYTES_MAX: usize = 200;

/// The models with a label of their own, by provider.
#[derive(Debug, Default)]
pub struct ModelLabels {
    by_provider: HashMap<String, HashSet<String>>,
    answered: usize,
}

impl ModelLabels {
    /// Adds a model that the configuration names.
    pub fn add_configured(&mut self, provider: &str, model: &str) {
        self.add(provider, model);
    }

    /// Records that the provider has answered a call of the model.
    pub fn record_answer(&mut self, provider: &str, model: &str) {
        let is_new = self.of(provider, model) == OTHER && model != OTHER;
        if is_new && self.answered < ANSWERED_MAX && model.len() <= LABEL_BYTES_MAX {
            self.answered += 1;
            self.add(provider, model);
        }
    }

    /// Whether a model may still get a label by an answer.
    #[must_use]
    pub const fn takes_more(&self) -> bool {
        self.answered < ANSWERED_MAX
    }

    /// The label of a model: its name, or [`OTHER`].
    #[must_use]
    pub fn of<'a>(&self, provider: &str, model: &'a str) -> &'a str {
        let models = self.by_provider.get(provider);
        let is_known = models.is_some_and(|models| models.contains(model));
        if is_known { model } else { OTHER }
    }

    fn add(&mut self, provider: &str, model: &str) {
        let models = self.by_provider.entry(provider.to_owned()).or_default();
        models.insert(model.to_owned());
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
            // A repeated answer uses up nothing.
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
    fn a_very_long_name_gets_no_label() {
        let mut labels = ModelLabels::default();
        let model = "m".repeat(201);
        labels.record_answer("local", &model);
        assert_eq!(labels.of("local", &model), OTHER);
    }
}
