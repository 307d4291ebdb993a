//! Maps images to parts in Gemini's form. Gemini has no field for the `detail` of one image, so the `detail` is left out.

use forebay_shared::turn::ImageUrl;
use serde_json::{Value, json};

use crate::provider::{Failure, Retry, image_type};

/// The part of an image, with its data or its URL. Gemini itself fetches the URL.
///
/// # Errors
/// `invalid_request` for a `data:` URL that is not in base64.
pub(super) fn part(image: &ImageUrl) -> Result<Value, Failure> {
    if let Some(data) = image.url.strip_prefix("data:") {
        let (kind, data) = data.split_once(";base64,").ok_or_else(|| {
            Failure::new(
                "invalid_request",
                "a data: URL of an image must have the form data:image/png;base64,…",
                Retry::Never,
            )
        })?;
        let kind = image_type::registered(kind);
        return Ok(json!({"inlineData": {"mimeType": kind, "data": data}}));
    }
    let mut file = json!({"fileUri": image.url});
    if let Some(kind) = mime_type(&image.url) {
        file["mimeType"] = kind.into();
    }
    Ok(json!({"fileData": file}))
}

/// The MIME type of an image, from the extension in its URL. `None` for an unknown extension.
fn mime_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::ImageUrl;
    use serde_json::{Value, json};

    use super::part;

    fn sent(url: &str) -> Value {
        let image: ImageUrl = serde_json::from_value(json!({"url": url})).expect("an image");
        part(&image).expect("the image can be sent")
    }

    #[test]
    fn the_type_has_its_registered_name() {
        for (kind, expected) in [
            ("image/jpg", "image/jpeg"),
            ("image/JPEG", "image/jpeg"),
            ("image/x-png", "image/png"),
            ("image/webp", "image/webp"),
        ] {
            assert_eq!(
                sent(&format!("data:{kind};base64,AAAA")),
                json!({"inlineData": {"mimeType": expected, "data": "AAAA"}})
            );
        }
        assert_eq!(
            sent("https://x.example/a.JPG"),
            json!({"fileData": {"fileUri": "https://x.example/a.JPG", "mimeType": "image/jpeg"}})
        );
    }
}
