//! Shows the start of a body that holds no message in JSON: of a text or of an HTML page.

/// The most characters that are shown of a body.
const TEXT_CHARS_MAX: usize = 200;

/// Whether a body is an HTML page, or XML.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// The first [`TEXT_CHARS_MAX`] characters of a body, without the tags of a page. `None`: the body has no text.
pub(super) fn start_of_body(body: &[u8]) -> Option<String> {
    start_of(&without_tags(&String::from_utf8_lossy(body)))
}

/// The first [`TEXT_CHARS_MAX`] characters of a text, with one space for each gap.
pub(super) fn start_of(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let start: String = words.join(" ").chars().take(TEXT_CHARS_MAX).collect();
    (!start.is_empty()).then_some(start)
}

/// A text without the tags, scripts and styles of an HTML page. Another text stays as it is.
fn without_tags(body: &str) -> String {
    if !is_page(body.as_bytes()) {
        return body.to_owned();
    }
    let mut text = String::new();
    let mut rest = body;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let skipped = ["script", "style", "!--"]
            .into_iter()
            .find(|tag| has_prefix(after, tag));
        let end = match skipped {
            Some("!--") => "-->",
            Some("script") => "</script>",
            Some(_) => "</style>",
            None => ">",
        };
        rest = after.split_once(end).map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::{TEXT_CHARS_MAX, start_of_body};

    #[test]
    fn the_start_of_a_text_or_a_page_is_shown() {
        for (body, expected) in [
            (&b"upstream\r\n  connect error"[..], Some("upstream connect error")),
            (
                b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>p {}</style></head>\n<body><center><h1>502 Bad Gateway</h1></center><hr>nginx</body></html>",
                Some("502 Bad Gateway 502 Bad Gateway nginx"),
            ),
            (b"<SCRIPT>if (a < b) {}</script><p>Access denied</p>", Some("Access denied")),
            (b"<!-- <b>no</b> --><p>yes", Some("yes")),
            (b" <html>Bad gateway", Some("Bad gateway")),
            (b"caf\xe9 closed", Some("caf\u{fffd} closed")),
            (b"<html></html>", None),
            (b" \n", None),
        ] {
            assert_eq!(start_of_body(body).as_deref(), expected);
        }
        let long = start_of_body("é".repeat(1_000).as_bytes()).expect("the value is a text");
        assert_eq!(long.chars().count(), TEXT_CHARS_MAX);
    }
}
