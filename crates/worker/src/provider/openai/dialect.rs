//! The differences between the services with OpenAI's API.

use serde::Deserialize;

use crate::provider::{http::Endpoint, tool_call_id::ToolCallIdForm};

/// The host of OpenAI's own service.
pub(in crate::provider) const OPENAI_HOST: &str = "api.openai.com";
/// The hosts of Mistral's service.
const MISTRAL_HOSTS: [&str; 2] = ["api.mistral.ai", "codestral.mistral.ai"];
/// The end of the hosts on which Google serves Gemini over this API.
const GOOGLE_DOMAIN: &str = ".googleapis.com";

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

/// Which turns are sent with their `extra_content`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExtraContent {
    /// None. OpenAI's own service never returns any, and refuses unknown fields.
    Never,
    /// The turns that this provider returned, and the turns that a client sent. Data of other providers is not sent,
    /// because a service may refuse unknown data.
    OfThisProvider,
    /// All data of the turns that this provider returned, and Google's data of all turns. Google requires Gemini's
    /// signatures, also those that the Gemini API returned.
    Google,
}

/// Which system messages a service accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SystemMessages {
    /// Any number at any position, also with the role `developer`.
    Any,
    /// One message with the role `system`, at the beginning. The chat templates of many models refuse other system messages.
    OneFirst,
}

/// How requests to a service are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// The name of the field that limits the tokens of a reply.
    pub(super) max_tokens_field: MaxTokensField,
    /// Which turns are sent with their `extra_content`.
    pub(super) extra_content: ExtraContent,
    /// Which system messages are sent.
    pub(super) system_messages: SystemMessages,
    /// The form of the tool call ids that are sent.
    pub(super) tool_call_ids: ToolCallIdForm,
}

impl Dialect {
    /// OpenAI's own service.
    pub(super) const OPENAI: Self = Self {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        extra_content: ExtraContent::Never,
        system_messages: SystemMessages::Any,
        tool_call_ids: ToolCallIdForm::Short,
    };

    /// Any other service with OpenAI's API.
    pub(super) const COMPATIBLE: Self = Self {
        max_tokens_field: MaxTokensField::MaxTokens,
        extra_content: ExtraContent::OfThisProvider,
        system_messages: SystemMessages::OneFirst,
        tool_call_ids: ToolCallIdForm::Any,
    };

    /// The dialect of the service with this base URL.
    pub(super) fn of(base_url: &Endpoint) -> Self {
        let host = base_url.host();
        if host == OPENAI_HOST {
            Self::OPENAI
        } else if MISTRAL_HOSTS.contains(&host) {
            Self {
                tool_call_ids: ToolCallIdForm::NineCharacters,
                ..Self::COMPATIBLE
            }
        } else if host.ends_with(GOOGLE_DOMAIN) {
            Self {
                extra_content: ExtraContent::Google,
                ..Self::COMPATIBLE
            }
        } else {
            Self::COMPATIBLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, ExtraContent, SystemMessages};
    use crate::provider::{http::Endpoint, tool_call_id::ToolCallIdForm};

    #[test]
    fn the_host_decides_the_dialect() {
        use ExtraContent::{Google, Never, OfThisProvider};
        use ToolCallIdForm::{Any, NineCharacters, Short};
        for (base_url, extra_content, tool_call_ids) in [
            ("https://api.openai.com/v1", Never, Short),
            ("https://api.openai.com.example/v1", OfThisProvider, Any),
            ("http://127.0.0.1:8000/v1", OfThisProvider, Any),
            ("https://api.mistral.ai/v1", OfThisProvider, NineCharacters),
            (
                "https://generativelanguage.googleapis.com/v1beta/openai",
                Google,
                Any,
            ),
        ] {
            let dialect = Dialect::of(&Endpoint::parse(base_url).expect("a URL"));
            assert_eq!(dialect.extra_content, extra_content, "{base_url}");
            assert_eq!(dialect.tool_call_ids, tool_call_ids, "{base_url}");
            let is_openai = dialect.system_messages == SystemMessages::Any;
            assert_eq!(is_openai, extra_content == Never, "{base_url}");
        }
    }
}
