//! How the services with this API differ.

use serde::Deserialize;

/// The name of the field that limits the tokens of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which most services accept. OpenAI's reasoning models refuse it.
    MaxTokens,
    /// `max_completion_tokens`, OpenAI's newer name.
    MaxCompletionTokens,
}

impl MaxTokensField {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// How requests to a service are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// The name of the field that limits the tokens of a reply.
    pub(super) max_tokens_field: MaxTokensField,
    /// Whether the `extra_content` of turns is sent.
    ///
    /// OpenAI's own service never returns any and refuses unknown fields. A session may still hold some from
    /// another provider.
    pub(super) sends_extra_content: bool,
}

impl Dialect {
    /// OpenAI's own service.
    pub(super) const OPENAI: Self = Self {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        sends_extra_content: false,
    };

    /// Every other service.
    pub(super) const COMPATIBLE: Self = Self {
        max_tokens_field: MaxTokensField::MaxTokens,
        sends_extra_content: true,
    };
}
