//! A message's content: a string, or parts of text and images.

use forebay_shared::{
    document::UnknownFields,
    turn::{Content, ImageUrl, Part},
};
use serde_json::Value;

use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    values::{Object, array, one_of, opaque, string},
};

const PARTS_MAX: usize = 256;
const HTTPS_URL_BYTES_MAX: usize = 8_192;
/// Fields that a text part of a reply may have. Their values are not kept.
const REPLY_PART_FIELDS: [&str; 2] = ["annotations", "logprobs"];

/// Whether the content may be the empty string, an empty array or empty texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmptyContent {
    Allowed,
    Refused,
}

/// Adds a reply's refusal to its content as text, unless the content is the same text. Returns `None` if there is
/// neither text nor a part.
pub(super) fn with_refusal(content: Option<Content>, refusal: Option<String>) -> Option<Content> {
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

/// Reads a message's content. An array whose parts are all empty becomes the empty string.
pub(super) fn read(
    value: Value,
    path: FieldPath<'_>,
    empty: EmptyContent,
    errors: &mut FieldErrors,
) -> Option<Content> {
    match value {
        Value::String(text) if empty == EmptyContent::Allowed || !text.is_empty() => {
            Some(Content::Text(text))
        }
        Value::Array(_) => {
            let least = usize::from(empty == EmptyContent::Refused);
            let values = array(Some(value), path, least..=PARTS_MAX, errors)?;
            let mut parts = Vec::with_capacity(values.len());
            for (index, value) in values.into_iter().enumerate() {
                parts.extend(part(value, path.index(index), empty, errors));
            }
            Some(if parts.is_empty() {
                Content::Text(String::new())
            } else {
                Content::Parts(parts)
            })
        }
        _ => {
            let string = match empty {
                EmptyContent::Allowed => "a string",
                EmptyContent::Refused => "a non-empty string",
            };
            errors.add(
                path,
                format_args!("must be {string} or an array of 1 to {PARTS_MAX} parts"),
            );
            None
        }
    }
}

#[derive(Clone, Copy)]
enum PartKind {
    Text,
    /// A refusal in a reply. It is kept as text.
    Refusal,
    Image,
}

/// Reads a part. An empty text is left out: the result is `None`, without an error.
fn part(
    value: Value,
    path: FieldPath<'_>,
    empty: EmptyContent,
    errors: &mut FieldErrors,
) -> Option<Part> {
    let mut fields = Object::new(value, path, errors)?;
    fields.ignore_nulls();
    let kinds = [
        ("text", PartKind::Text),
        ("output_text", PartKind::Text),
        ("refusal", PartKind::Refusal),
        ("image_url", PartKind::Image),
    ];
    let least_chars = usize::from(empty == EmptyContent::Refused);
    match one_of(
        fields.require("type", errors),
        path.key("type"),
        &kinds,
        errors,
    )? {
        PartKind::Text => {
            let text = fields.require("text", errors);
            let text = string(text, path.key("text"), least_chars..=usize::MAX, errors);
            let extra = fields.take("extra_content");
            let extra_content = opaque(extra, path.key("extra_content"), errors);
            fields.ignore(&REPLY_PART_FIELDS);
            fields.refuse_unknown("type, text, extra_content", errors);
            let text = text?;
            if text.is_empty() && extra_content.is_none() {
                return None;
            }
            Some(Part::Text {
                text,
                extra_content,
                unknown: UnknownFields::NONE,
            })
        }
        PartKind::Refusal => {
            let refusal = fields.require("refusal", errors);
            let text = string(
                refusal,
                path.key("refusal"),
                least_chars..=usize::MAX,
                errors,
            );
            fields.refuse_unknown("type, refusal", errors);
            text.filter(|text| !text.is_empty()).map(text_part)
        }
        PartKind::Image => {
            let image = fields.require("image_url", errors);
            let image_url = image.and_then(|image| image_url(image, path.key("image_url"), errors));
            fields.refuse_unknown("type, image_url", errors);
            let image_url = image_url?;
            Some(Part::ImageUrl {
                image_url,
                unknown: UnknownFields::NONE,
            })
        }
    }
}

const fn text_part(text: String) -> Part {
    Part::Text {
        text,
        extra_content: None,
        unknown: UnknownFields::NONE,
    }
}

fn image_url(value: Value, path: FieldPath<'_>, errors: &mut FieldErrors) -> Option<ImageUrl> {
    let mut fields = Object::new(value, path, errors)?;
    let url = match fields.require("url", errors) {
        Some(Value::String(url)) if is_image_url(&url) => Some(url),
        Some(_) => {
            let error_message = "must be an https: URL or an image as data:image/TYPE;base64,DATA";
            errors.add(path.key("url"), error_message);
            None
        }
        None => None,
    };
    let words = [("auto", "auto"), ("low", "low"), ("high", "high")];
    let detail = one_of(fields.take("detail"), path.key("detail"), &words, errors);
    fields.refuse_unknown("url, detail", errors);
    Some(ImageUrl {
        url: url?,
        detail: detail.map(str::to_owned),
        unknown: UnknownFields::NONE,
    })
}

/// Returns whether a URL may be the URL of an image. The provider fetches the image; Forebay does not.
fn is_image_url(url: &str) -> bool {
    if let Some(after_scheme) = url.strip_prefix("https://") {
        let host = after_scheme
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default();
        return !host.is_empty()
            && url.len() <= HTTPS_URL_BYTES_MAX
            && url.bytes().all(|byte| byte.is_ascii_graphic());
    }
    let Some((subtype, data)) = url
        .strip_prefix("data:image/")
        .and_then(|image| image.split_once(";base64,"))
    else {
        return false;
    };
    let is_subtype_char = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let digits = data.trim_end_matches('=');
    (1..=64).contains(&subtype.len())
        && subtype.bytes().all(is_subtype_char)
        && !digits.is_empty()
        && data.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::is_image_url;

    #[test]
    fn https_urls_and_base64_data_urls_are_image_urls() {
        for good in [
            "https://example.com/a.png?x=1",
            "data:image/png;base64,iVBORw0=",
            "data:image/svg+xml;base64,AA==",
        ] {
            assert!(is_image_url(good), "{good} was refused");
        }
        for bad in [
            "",
            "http://example.com/a.png",
            "https://",
            "https:///a.png",
            "https://example.com/a b.png",
            "file:///etc/passwd",
            "data:text/html;base64,AAAA",
            "data:image/png,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64,A===",
            "data:image/png;base64,A!A",
            "data:image/;base64,AAAA",
        ] {
            assert!(!is_image_url(bad), "{bad} was accepted");
        }
    }
}
