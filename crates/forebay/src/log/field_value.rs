//! Writes a value that is added to a log line, so that it cannot pass for another field or another line.

use std::fmt::{self, Display, Write};

use super::LogFormat;

/// Writes a value at the end of a line. In text, a value with other characters than `A-Z a-z 0-9 . _ : @ / -` is quoted, and what
/// a reader could mistake or could not see is escaped. In JSON it is a string.
pub(super) fn write_value(
    line: &mut String,
    value: &dyn Display,
    format: LogFormat,
) -> fmt::Result {
    match format {
        LogFormat::Text => {
            let begin = line.len();
            write!(line, "{value}")?;
            if line[begin..].bytes().all(is_plain) && line.len() > begin {
                return Ok(());
            }
            line.truncate(begin);
            line.push('"');
            write!(TextEscapes(line), "{value}")?;
        }
        LogFormat::Json => {
            line.push('"');
            write!(JsonEscapes(line), "{value}")?;
        }
    }
    line.push('"');
    Ok(())
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'/' | b'-')
}

/// Escapes quotes, backslashes and all that is not visible.
struct TextEscapes<'a>(&'a mut String);

impl Write for TextEscapes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.chars().flat_map(char::escape_debug));
        Ok(())
    }
}

/// Escapes what JSON does not allow in a string (RFC 8259, section 7).
struct JsonEscapes<'a>(&'a mut String);

impl Write for JsonEscapes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                '\0'..='\x1f' => write!(self.0, "\\u{:04x}", u32::from(character))?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{LogFormat, write_value};

    fn written(value: &str, format: LogFormat) -> String {
        let mut line = String::from("v=");
        write_value(&mut line, &value, format).expect("a string takes all");
        line
    }

    #[test]
    fn a_plain_value_is_written_as_it_is_and_any_other_is_quoted() {
        for (value, expected) in [
            ("job_0a/b:c@d.e-f", "v=job_0a/b:c@d.e-f"),
            ("", "v=\"\""),
            ("x code=done", "v=\"x code=done\""),
            ("a\"b\\c", "v=\"a\\\"b\\\\c\""),
            ("a\nb", "v=\"a\\nb\""),
            ("a\u{202e}b\u{2028}c", "v=\"a\\u{202e}b\\u{2028}c\""),
            ("é", "v=\"é\""),
        ] {
            assert_eq!(written(value, LogFormat::Text), expected);
        }
        let json = written("a\"b\\c\nd", LogFormat::Json);
        assert_eq!(json, "v=\"a\\\"b\\\\c\\u000ad\"");
    }
}
