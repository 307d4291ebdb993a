//! The limit of a model's context, and how it follows from a refused call. Pure functions.

use super::size::{CountedSize, InputSize};
use crate::provider::ContextTokens;

/// The lowest plausible limit, in tokens. No chat model has a lower limit, so a lower number is an error.
const LIMIT_TOKENS_MIN: u64 = 256;
/// At least the limit divided by this number stays free: for the reply, and because the tokens of the input are an
/// estimate.
const FREE_DIVISOR: u64 = 8;

/// What is known of the context of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContextLimit {
    /// The maximum number of tokens of the input and the reply together.
    pub(crate) tokens: u64,
    /// Whether the provider stated the limit. Otherwise it is an estimate, from the size of a refused call.
    pub(crate) is_stated: bool,
    /// The tokens of a refused input, from which the tokens of other inputs are estimated.
    pub(crate) counted: Option<CountedSize>,
}

impl ContextLimit {
    /// Whether an input of this size probably fits, with a reply of `max_output_tokens`.
    pub(crate) fn fits(&self, input: InputSize, max_output_tokens: Option<u32>) -> bool {
        input.tokens(self.counted) <= self.input_tokens_max(max_output_tokens)
    }

    /// The maximum number of tokens of an input whose reply may have `max_output_tokens`.
    fn input_tokens_max(&self, max_output_tokens: Option<u32>) -> u64 {
        let output_tokens = u64::from(max_output_tokens.unwrap_or(0));
        let free_tokens = output_tokens.max(self.tokens / FREE_DIVISOR);
        // At most half of the limit stays free. If a longer reply does not fit, the provider refuses the call, and the next
        // call sends half of the turns.
        self.tokens - free_tokens.min(self.tokens / 2)
    }
}

/// A call whose context the provider refused as too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedCall {
    /// The size of the input.
    pub(crate) input: InputSize,
    /// The maximum number of tokens of the reply, if the job sets it.
    pub(crate) max_output_tokens: Option<u32>,
    /// What was known of the model before the call.
    pub(crate) known: Option<ContextLimit>,
}

/// What follows from a refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusalResult {
    /// The limit of the model.
    pub(crate) limit: ContextLimit,
    /// Whether the refused input is above the limit by its count or estimate. Otherwise the estimate cannot show which input
    /// fits.
    pub(crate) refused_input_is_above_limit: bool,
}

impl RefusedCall {
    /// The limit of the model, from the refused input and the counts that the provider stated.
    pub(crate) fn evaluate(&self, stated: ContextTokens) -> RefusalResult {
        let is_plausible = stated.limit.is_none_or(|limit| limit >= LIMIT_TOKENS_MIN);
        let stated = if is_plausible {
            stated
        } else {
            ContextTokens::default()
        };
        let known_count = self.known.and_then(|known| known.counted);
        let stated_input = stated.input_tokens().filter(|tokens| *tokens > 0);
        let input_tokens = stated_input.unwrap_or_else(|| self.input.tokens(known_count));
        let own_output = u64::from(self.max_output_tokens.unwrap_or(0));
        let output_tokens = stated.output.unwrap_or(own_output);
        let (tokens, refused_input_is_above_limit) = match (stated.limit, stated.excess) {
            (Some(limit), _) => {
                // Some servers reserve more tokens for the reply than the job asks for.
                let reserved = output_tokens.saturating_sub(own_output);
                let refused_input_is_above_limit =
                    input_tokens.saturating_add(output_tokens) >= limit;
                (limit.saturating_sub(reserved), refused_input_is_above_limit)
            }
            (None, Some(excess)) if excess < input_tokens => (input_tokens - excess, true),
            (None, _) => self.halved_limit(input_tokens),
        };
        let tokens = tokens.max(LIMIT_TOKENS_MIN);
        let counted = match stated_input {
            Some(tokens) => Some(CountedSize {
                size: self.input,
                tokens,
            }),
            // The estimate was too low, so half of the input is assumed to fill the context.
            None if stated.limit.is_some() && !refused_input_is_above_limit => Some(CountedSize {
                size: self.input.half(),
                tokens,
            }),
            None => known_count,
        };
        let limit = ContextLimit {
            tokens,
            is_stated: stated.limit.is_some(),
            counted,
        };
        RefusalResult {
            limit,
            refused_input_is_above_limit,
        }
    }

    /// The limit after a refusal without counts: half of the input plus the reply, or the known limit if that is lower. The
    /// bool is [`RefusalResult::refused_input_is_above_limit`].
    fn halved_limit(&self, input_tokens: u64) -> (u64, bool) {
        let output_tokens = u64::from(self.max_output_tokens.unwrap_or(0));
        let half = input_tokens / 2 + output_tokens;
        let known = self.known.map_or(u64::MAX, |known| known.tokens);
        (half.min(known), false)
    }
}

#[cfg(test)]
mod tests;
