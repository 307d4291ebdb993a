//! The token counts that an error about the length of the context states.

/// The counts of an error about the length of the context. A count is `None` if the error does not state it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextTokens {
    /// The most tokens that the model accepts. Some servers count the input only, others the input and the reply.
    pub limit: Option<u64>,
    /// The tokens of the refused input.
    pub input: Option<u64>,
    /// The tokens that the call reserved for the reply.
    pub output: Option<u64>,
    /// The tokens of the input and the reply together.
    pub total: Option<u64>,
    /// The tokens by which the input was too long.
    pub excess: Option<u64>,
}

impl ContextTokens {
    /// The tokens of the refused input: the total without the output if the error states both, otherwise the stated input or
    /// total.
    #[must_use]
    pub fn input_tokens(&self) -> Option<u64> {
        match (self.total, self.output) {
            // `input` may be only a part of the input, such as the messages without the functions.
            (Some(total), Some(output)) if total > output => Some(total - output),
            (total, _) => self.input.or(total),
        }
    }

    /// These counts. Each count that is `None` is taken from `others`.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            limit: self.limit.or(others.limit),
            input: self.input.or(others.input),
            output: self.output.or(others.output),
            total: self.total.or(others.total),
            excess: self.excess.or(others.excess),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ContextTokens;

    #[test]
    fn the_input_is_derived_from_sums() {
        let counts = |input, output, total| ContextTokens {
            input,
            output,
            total,
            ..ContextTokens::default()
        };
        for (stated, input) in [
            (counts(None, None, None), None),
            (counts(Some(7), None, None), Some(7)),
            (counts(None, None, Some(9)), Some(9)),
            (counts(Some(5), Some(2), Some(9)), Some(7)),
            (counts(Some(5), Some(9), Some(9)), Some(5)),
        ] {
            assert_eq!(stated.input_tokens(), input, "{stated:?}");
        }
    }
}
