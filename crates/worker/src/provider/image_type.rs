//! The MIME types of images. Clients use unregistered names that only some providers accept.

/// The registered name of an image's MIME type, in lower case, such as `image/jpeg` for `image/JPG`.
pub(super) fn registered(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "image/jpg" | "image/pjpeg" | "image/jfif" => String::from("image/jpeg"),
        "image/x-png" => String::from("image/png"),
        _ => kind,
    }
}

/// The `data:` URL with the registered name of the image's type. `None` if the URL already has the registered name, or is no
/// `data:` URL.
pub(super) fn renamed_in_url(url: &str) -> Option<String> {
    let (kind, rest) = url.strip_prefix("data:")?.split_once(';')?;
    let registered = registered(kind);
    (registered != kind).then(|| format!("data:{registered};{rest}"))
}

#[cfg(test)]
mod tests {
    use super::{registered, renamed_in_url};

    #[test]
    fn only_data_urls_with_an_unregistered_name_are_changed() {
        assert_eq!(
            renamed_in_url("data:image/jpg;base64,AA=="),
            Some(String::from("data:image/jpeg;base64,AA=="))
        );
        assert_eq!(renamed_in_url("data:image/png;base64,AA=="), None);
        assert_eq!(renamed_in_url("https://x.example/a.jpg"), None);
    }

    #[test]
    fn unregistered_names_are_replaced() {
        for (kind, expected) in [
            ("image/jpg", "image/jpeg"),
            ("image/JPG", "image/jpeg"),
            ("image/pjpeg", "image/jpeg"),
            ("image/x-png", "image/png"),
            ("image/PNG", "image/png"),
            ("image/webp", "image/webp"),
        ] {
            assert_eq!(registered(kind), expected);
        }
    }
}
