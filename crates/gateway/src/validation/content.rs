//! What a message says: a text, or parts of text and images.

use forebay_shared::turn::{Content, ImageUrl, Part};
use serde_json::Value;

use super::{
    faults::Faults,
    fields::{Object, any_text, list, opaque, word},
    path::Path,
};

const PARTS_MAX: usize = 256;
const LINK_BYTES_MAX: usize = 8_192;

/// Whether a text may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emptiness {
    Allowed,
    Refused,
}

/// Reads a message's content.
pub(super) fn read(
    value: Value,
    at: Path<'_>,
    emptiness: Emptiness,
    faults: &mut Faults,
) -> Option<Content> {
    match value {
        Value::String(text) if emptiness == Emptiness::Allowed || !text.is_empty() => {
            Some(Content::Text(text))
        }
        Value::Array(_) => {
            let parts = list(Some(value), at, 1..=PARTS_MAX, faults)?;
            let mut read = Vec::with_capacity(parts.len());
            for (place, value) in parts.into_iter().enumerate() {
                read.extend(part(value, at.index(place), faults));
            }
            Some(Content::Parts(read))
        }
        _ => {
            let text = match emptiness {
                Emptiness::Allowed => "a text",
                Emptiness::Refused => "a text that is not empty",
            };
            faults.add(
                at,
                format_args!("must be {text}, or a list of 1 to {PARTS_MAX} parts"),
            );
            None
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Image,
}

fn part(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<Part> {
    let mut fields = Object::of(value, at, faults)?;
    let kinds = [("text", Kind::Text), ("image_url", Kind::Image)];
    match word(
        fields.require("type", faults),
        at.key("type"),
        &kinds,
        faults,
    )? {
        Kind::Text => {
            let text = fields.require("text", faults);
            let text = any_text(text, at.key("text"), faults);
            let extra = fields.take("extra_content");
            let extra_content = opaque(extra, at.key("extra_content"), faults);
            fields.finish("type, text, extra_content", faults);
            let text = text?;
            Some(Part::Text {
                text,
                extra_content,
            })
        }
        Kind::Image => {
            let image = fields.require("image_url", faults);
            let image_url = image.and_then(|image| image_url(image, at.key("image_url"), faults));
            fields.finish("type, image_url", faults);
            let image_url = image_url?;
            Some(Part::ImageUrl { image_url })
        }
    }
}

fn image_url(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<ImageUrl> {
    let mut fields = Object::of(value, at, faults)?;
    let url = match fields.require("url", faults) {
        Some(Value::String(url)) if is_image(&url) => Some(url),
        Some(_) => {
            let allowed = "must be an https: URL, or an image as data:image/TYPE;base64,DATA";
            faults.add(at.key("url"), allowed);
            None
        }
        None => None,
    };
    let words = [("auto", "auto"), ("low", "low"), ("high", "high")];
    let detail = word(fields.take("detail"), at.key("detail"), &words, faults);
    fields.finish("url, detail", faults);
    Some(ImageUrl {
        url: url?,
        detail: detail.map(str::to_owned),
    })
}

/// Whether this is where an image can be. Nobody here fetches it; the provider will.
fn is_image(url: &str) -> bool {
    if let Some(rest) = url.strip_prefix("https://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return !host.is_empty()
            && url.len() <= LINK_BYTES_MAX
            && url.bytes().all(|b| b.is_ascii_graphic());
    }
    let Some((kind, data)) = url
        .strip_prefix("data:image/")
        .and_then(|rest| rest.split_once(";base64,"))
    else {
        return false;
    };
    let is_kind = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let digits = data.trim_end_matches('=');
    (1..=64).contains(&kind.len())
        && kind.bytes().all(is_kind)
        && !digits.is_empty()
        && data.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::is_image;

    #[test]
    fn an_image_is_at_an_https_url_or_in_a_data_url() {
        for good in [
            "https://example.com/a.png?x=1",
            "data:image/png;base64,iVBORw0=",
            "data:image/svg+xml;base64,AA==",
        ] {
            assert!(is_image(good), "{good}");
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
            assert!(!is_image(bad), "{bad}");
        }
    }
}
