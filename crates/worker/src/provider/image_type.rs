//! The MIME types of images. Clients use names that only some providers know.

/// The registered name of an image's type: lower case, and `image/jpeg` in place of `image/jpg`.
pub(super) fn registered(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        "image/jpg" | "image/pjpeg" | "image/jfif" => String::from("image/jpeg"),
        "image/x-png" => String::from("image/png"),
        _ => kind,
    }
}

/// A `data:` URL whose image has another name than the registered one, with the registered name. `None` for every other
/// URL.
pub(super) fn renamed_in_url(url: &str) -> Option<String> {
    let (kind, rest) = url.strip_prefix("data:")?.split_once(';')?;
    let registered = registered(kind);
    (registered != kind).then(|| format!("data:{registered};{rest}"))
}

#[cfg(test)]
mod tests {
    use super::{registered, renamed_in_url};

    #[test]
    fn only_data_urls_with_another_name_are_changed() {
        assert_eq!(
            renamed_in_url("data:image/jpg;base64,AA=="),
            Some(String::from("data:image/jpeg;base64,AA=="))
        );
        assert_eq!(renamed_in_url("data:image/png;base64,AA=="), None);
        assert_eq!(renamed_in_url("https://x.example/a.jpg"), None);
    }

    #[test]
    fn other_names_are_replaced_by_the_registered_ones() {
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
