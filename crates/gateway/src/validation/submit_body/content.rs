//! A message's content: a string, or parts of text and images.

use std::borrow::Cow;

use forebay_shared::{document::UnknownFields, turn};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    opaque::{Opaque, OpaqueValues},
    text_or::TextOr,
    unused::Ignored,
};

pub(in crate::validation) const PARTS_MAX: usize = 256;
const HTTPS_URL_BYTES_MAX: usize = 8_192;
const IMAGE_URL_ALLOWED: &str = "an https: URL or an image as data:image/TYPE;base64,DATA";

/// The content of a message. Whether it may be empty depends on the message.
#[derive(Debug, Deserialize)]
pub(in crate::validation) struct Content(TextOr<Part>);

impl JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "maxItems": PARTS_MAX,
            "items": generator.subschema_for::<Part>(),
        })
    }
}

impl Content {
    /// The content as it is stored. Empty texts are left out. An array whose parts are all empty becomes the empty string.
    pub(super) fn stored(self, values: &mut OpaqueValues) -> turn::Content {
        match self.0 {
            TextOr::Text(text) => turn::Content::Text(text),
            TextOr::List(parts) => {
                let parts: Vec<turn::Part> = parts
                    .into_iter()
                    .filter_map(|part| part.stored(values))
                    .collect();
                if parts.is_empty() {
                    turn::Content::Text(String::new())
                } else {
                    turn::Content::Parts(parts)
                }
            }
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    /// A text.
    Text(TextPart),
    /// A text, as some SDKs name it in replies.
    OutputText(TextPart),
    /// A refusal in a reply. It is kept as text.
    Refusal(RefusalPart),
    /// An image.
    ImageUrl(ImagePart),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = {"type": "null"}))]
#[expect(dead_code, reason = "some fields are accepted and not kept")]
struct TextPart {
    /// The text. It may be empty only in a reply or in a tool result.
    text: String,
    /// Data that a provider added and expects back unchanged, nested at most 64 levels deep.
    #[serde(default)]
    extra_content: Opaque,
    #[serde(default)]
    annotations: Ignored,
    #[serde(default)]
    logprobs: Ignored,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = {"type": "null"}))]
struct RefusalPart {
    /// The text of the refusal.
    refusal: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = {"type": "null"}))]
struct ImagePart {
    image_url: ImageUrl,
}

/// The address of an image. The provider fetches the image; Forebay does not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImageUrl {
    /// The image's address.
    #[schemars(extend(
        "anyOf" = [
            {"pattern": "^https://[!-\"$-.0->@-~][!-~]*$", "maxLength": HTTPS_URL_BYTES_MAX},
            {"pattern": "^data:image/[A-Za-z0-9+.-]{1,64};base64,[A-Za-z0-9+/]+={0,2}$"},
        ],
        "x-allowed" = IMAGE_URL_ALLOWED
    ))]
    url: String,
    /// The level of detail in which the model sees the image.
    detail: Option<Detail>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Detail {
    Auto,
    Low,
    High,
}

impl Detail {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

impl Part {
    /// The part as it is stored. `None` for an empty text.
    fn stored(self, values: &mut OpaqueValues) -> Option<turn::Part> {
        match self {
            Self::Text(part) | Self::OutputText(part) => {
                let extra_content = values.take(part.extra_content);
                if part.text.is_empty() && extra_content.is_none() {
                    return None;
                }
                Some(turn::Part::Text {
                    text: part.text,
                    extra_content,
                    unknown: UnknownFields::NONE,
                })
            }
            Self::Refusal(part) => (!part.refusal.is_empty()).then(|| text_part(part.refusal)),
            Self::ImageUrl(part) => Some(turn::Part::ImageUrl {
                image_url: turn::ImageUrl {
                    url: part.image_url.url,
                    detail: part
                        .image_url
                        .detail
                        .map(|detail| detail.as_str().to_owned()),
                    unknown: UnknownFields::NONE,
                },
                unknown: UnknownFields::NONE,
            }),
        }
    }
}

/// Adds a reply's refusal to its content as text, unless the content is the same text. Returns `None` if there is
/// neither text nor a part.
pub(super) fn with_refusal(
    content: Option<turn::Content>,
    refusal: Option<String>,
) -> Option<turn::Content> {
    use turn::Content;
    match (content, refusal) {
        (Some(Content::Text(text)), refusal) if text.is_empty() => refusal.map(Content::Text),
        (None, refusal) => refusal.map(Content::Text),
        (Some(Content::Text(text)), Some(refusal)) if text != refusal => {
            Some(Content::Text(format!("{text}\n\n{refusal}")))
        }
        (Some(Content::Parts(mut parts)), Some(refusal)) => {
            parts.push(text_part(refusal));
            Some(Content::Parts(parts))
        }
        (content, _) => content,
    }
}

const fn text_part(text: String) -> turn::Part {
    turn::Part::Text {
        text,
        extra_content: None,
        unknown: UnknownFields::NONE,
    }
}
