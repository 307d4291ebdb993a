//! Matches a template such as `context length is {limit} tokens` with a text, and reads the counts in the text.

use super::tokens::ContextTokens;

/// The counts at the first position of `text` that matches `template`; `None` if the text does not match.
///
/// `{limit}`, `{input}`, `{output}`, `{total}` and `{excess}` stand for counts. A template must not begin with a count.
pub(super) fn read(template: &str, text: &str) -> Option<ContextTokens> {
    let first_words = template.split('{').next()?;
    text.match_indices(first_words)
        .find_map(|(start, _)| read_at_start(template, &text[start..]))
}

fn read_at_start(mut template: &str, mut text: &str) -> Option<ContextTokens> {
    let mut counts = ContextTokens::default();
    while !template.is_empty() {
        if let Some(field) = template.strip_prefix('{') {
            let (name, after_field) = field.split_once('}')?;
            let (count, after_count) = leading_count(text)?;
            *count_named(&mut counts, name)? = Some(count);
            (template, text) = (after_field, after_count);
        } else {
            let (words, fields) = template.split_at(template.find('{').unwrap_or(template.len()));
            text = text.strip_prefix(words)?;
            template = fields;
        }
    }
    Some(counts)
}

fn count_named<'a>(counts: &'a mut ContextTokens, name: &str) -> Option<&'a mut Option<u64>> {
    match name {
        "limit" => Some(&mut counts.limit),
        "input" => Some(&mut counts.input),
        "output" => Some(&mut counts.output),
        "total" => Some(&mut counts.total),
        "excess" => Some(&mut counts.excess),
        _ => None,
    }
}

/// The count at the start of a text, such as `4096` or `131,072`, and the text after it.
fn leading_count(text: &str) -> Option<(u64, &str)> {
    let mut end = leading_digits(text);
    while text[end..].starts_with(',') && leading_digits(&text[end + 1..]) == 3 {
        end += 4;
    }
    let count = text[..end].replace(',', "").parse().ok()?;
    Some((count, &text[end..]))
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::{super::tokens::ContextTokens, read};

    #[test]
    fn counts_are_read_where_the_template_matches() {
        let pair = |input, limit| {
            Some(ContextTokens {
                input: Some(input),
                limit: Some(limit),
                ..ContextTokens::default()
            })
        };
        let template = "long: {input} tokens > {limit}";
        for (text, expected) in [
            ("too long: 12 tokens > 9 maximum", pair(12, 9)),
            ("long: 1,234 tokens > 131,072,", pair(1_234, 131_072)),
            ("long: 1,23 tokens > 9", None),
            ("long: many tokens, long: 12 tokens > 9", pair(12, 9)),
            ("long: 12 tokens < 9", None),
            ("long: 12 tokens > ", None),
            ("long: 99999999999999999999 tokens > 9", None),
            ("", None),
        ] {
            assert_eq!(read(template, text), expected, "{text}");
        }
    }

    #[test]
    fn a_template_without_counts_matches_its_words() {
        assert_eq!(
            read("too long", "it is too long."),
            Some(ContextTokens::default())
        );
        assert_eq!(read("too long", "it is long."), None);
    }
}
