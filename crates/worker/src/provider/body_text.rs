//! Extracts the start of a body that is not JSON, or of JSON without a message, to show it in an error. The body may be an
//! HTML page.

/// The most characters of a body that an error shows.
const TEXT_CHARS_MAX: usize = 200;

/// Whether a body is an HTML page, or XML.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// Whether a body is a stream of server-sent events.
pub(super) fn is_event_stream(body: &[u8]) -> bool {
    const STARTS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    let body = body.trim_ascii_start();
    STARTS.iter().any(|start| body.starts_with(start))
}

/// The first [`TEXT_CHARS_MAX`] characters of a body, without the tags of a page. `None`: the body has no text.
pub(super) fn start_of_body(body: &[u8]) -> Option<String> {
    start_of(&without_tags(&String::from_utf8_lossy(body)))
}

/// The first [`TEXT_CHARS_MAX`] characters of a text, with one space between words. `None`: the text has no words.
pub(super) fn start_of(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let start: String = words.join(" ").chars().take(TEXT_CHARS_MAX).collect();
    (!start.is_empty()).then_some(start)
}

/// The text of an HTML page, without tags, scripts and styles. A text that is no page stays as it is.
fn without_tags(body: &str) -> String {
    if !is_page(body.as_bytes()) {
        return body.to_owned();
    }
    // Tags may be in capitals. A position in this copy is the same position in the body.
    let lowercase = body.to_ascii_lowercase();
    let mut text = String::new();
    let mut position = 0;
    while let Some(bytes) = lowercase[position..].find('<') {
        let tag = position + bytes;
        text.push_str(&body[position..tag]);
        text.push(' ');
        let end = end_of_tag(&lowercase[tag..]);
        position = lowercase[tag..]
            .find(end)
            .map_or(body.len(), |bytes| tag + bytes + end.len());
    }
    text.push_str(&body[position..]);
    text
}

/// The text that ends the tag at the start of `html`. The content of scripts, styles and comments counts as a part of the
/// tag.
fn end_of_tag(html: &str) -> &'static str {
    match html {
        html if html.starts_with("<script") => "</script>",
        html if html.starts_with("<style") => "</style>",
        html if html.starts_with("<!--") => "-->",
        _ => ">",
    }
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
            (
                b"<HTML><HEAD><STYLE>b{}</STYLE></HEAD><BODY>ERROR: The upstream is down",
                Some("ERROR: The upstream is down"),
            ),
            (b"<Script>x</SCRIPT><p>\xc3\x89 <b", Some("\u{c9}")),
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
