//! Calls `lane::apply` with the mutations of a configuration. `apply` is pure, so the results are cached.

use std::{collections::HashMap, hash::BuildHasherDefault};

use forebay_shared::{
    lane::{Refused, apply},
    time::TimeMs,
};

use super::{
    change::ModelChange,
    event::{ApplyInput, ClockSkew, ModelEvent},
    times::{NOW, SKEW_MS},
    to_model::model_change,
    to_real::{real_event, real_lane, real_outcome},
};
use crate::{
    configuration::Configuration,
    hash::Mixer,
    mutated_apply,
    state::{Lane, Outcome},
};

/// `lane::apply` with the mutations of a configuration.
pub(crate) struct Protocol {
    configuration: Configuration,
    cache: HashMap<ApplyInput, Result<ModelChange, Refused>, BuildHasherDefault<Mixer>>,
}

impl Protocol {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self {
            configuration,
            cache: HashMap::default(),
        }
    }

    /// Applies an event of a job to a lane. `outcome` is the outcome of this job, if it has ended.
    pub(crate) fn apply(
        &mut self,
        lane: &Lane,
        outcome: Option<Outcome>,
        job: u8,
        event: ModelEvent,
        clock: ClockSkew,
    ) -> Result<ModelChange, Refused> {
        let input = ApplyInput {
            lane: *lane,
            outcome,
            job,
            event,
            clock,
        };
        if let Some(result) = self.cache.get(&input) {
            return *result;
        }
        let result = self.apply_to_real_lane(&input);
        self.cache.insert(input, result);
        result
    }

    fn apply_to_real_lane(&self, input: &ApplyInput) -> Result<ModelChange, Refused> {
        let mutations = self.configuration.mutations;
        let mut event = real_event(&self.configuration, input);
        let mut outcome = input.outcome.map(real_outcome);
        let mut lane = real_lane(input);
        for mutation in mutations {
            mutated_apply::mutate_arguments(*mutation, &mut lane, &mut outcome, &mut event);
        }
        let now = match input.clock {
            ClockSkew::None => NOW,
            ClockSkew::Ahead => NOW.plus_ms(SKEW_MS),
            ClockSkew::Behind => TimeMs(NOW.0 - SKEW_MS),
        };
        let effects = apply(&mut lane, outcome, &event, now)?;
        let mut change = model_change(&input.lane, &lane, &effects);
        for mutation in mutations {
            mutated_apply::mutate_result(*mutation, &input.lane, &event, &mut change);
        }
        Ok(change)
    }
}
