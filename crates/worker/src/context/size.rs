//! The size of an input, from which its tokens are estimated for a model with a known limit. Pure functions.
//!
//! For some providers the tokens are proportional to the bytes. For other providers they are proportional to the words,
//! numbers and signs. There, a list of numbers has twice as many tokens as prose of the same length. This file measures both
//! and uses the higher estimate.

use forebay_shared::{
    job::Request,
    turn::{Content, Part, Turn},
};
use serde::Serialize;

/// The assumed bytes of a token until the provider has counted an input.
const BYTES_PER_TOKEN: u64 = 4;
/// The assumed tokens of an image. They do not depend on the bytes of its data.
const IMAGE_TOKENS: u64 = 1_000;
/// The assumed tokens of a turn or a tool call in addition to its texts.
const TURN_TOKENS: u64 = 4;

/// The most letters of one piece ([`InputSize::pieces`]).
const LETTERS_PER_PIECE: u64 = 6;
/// The most digits of one piece.
const DIGITS_PER_PIECE: u64 = 3;
/// The most bytes of one piece of characters outside ASCII.
const OTHER_BYTES_PER_PIECE: u64 = 3;

/// The size of an input, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputSize {
    /// The bytes of all texts, and assumed bytes for each turn, tool call and image.
    pub(crate) bytes: u64,
    /// The pieces of all texts (short words, groups of digits, and signs), and assumed pieces for each turn, tool call and image.
    pub(crate) pieces: u64,
}

/// The size of an input, and the tokens that a provider counted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedSize {
    pub(crate) size: InputSize,
    pub(crate) tokens: u64,
}

impl InputSize {
    /// The size of one turn.
    pub(crate) fn of_turn(turn: &Turn) -> Self {
        let mut size = Self::of_tokens(TURN_TOKENS);
        match &turn.content {
            Some(Content::Text(text)) => size.add_text(text),
            Some(Content::Parts(parts)) => parts.iter().for_each(|part| size.add_part(part)),
            None => {}
        }
        for call in &turn.tool_calls {
            size.add_text(&call.function.name);
            size.add_text(&call.function.arguments);
            size.add(Self::of_tokens(TURN_TOKENS));
        }
        if let Some(extra) = &turn.extra_content {
            size.add_json(extra);
        }
        size
    }

    /// The size of what a call sends in addition to its turns: the instructions, the tools and the schema of the reply.
    pub(crate) fn of_overhead(request: &Request) -> Self {
        let mut size = Self::default();
        if let Some(instructions) = &request.instructions {
            size.add_text(instructions);
        }
        if !request.tools.is_empty() {
            size.add_json(&request.tools);
        }
        if let Some(format) = &request.response_format {
            size.add_json(format);
        }
        size
    }

    /// The sum of this size and the size of another part.
    pub(crate) const fn and(mut self, part: Self) -> Self {
        self.add(part);
        self
    }

    /// Adds the size of a part.
    pub(crate) const fn add(&mut self, part: Self) {
        self.bytes = self.bytes.saturating_add(part.bytes);
        self.pieces = self.pieces.saturating_add(part.pieces);
    }

    /// Half of the size, rounded up.
    pub(crate) const fn half(self) -> Self {
        Self {
            bytes: self.bytes.div_ceil(2),
            pieces: self.pieces.div_ceil(2),
        }
    }

    /// Estimates the tokens, if possible from a provider's count of another input of the same model.
    pub(crate) fn tokens(self, counted: Option<CountedSize>) -> u64 {
        let Some(CountedSize { size, tokens }) = counted else {
            return self.pieces.max(self.bytes.div_ceil(BYTES_PER_TOKEN));
        };
        let scaled = |own: u64, counted: u64| {
            let scaled = u128::from(own) * u128::from(tokens);
            u64::try_from(scaled.div_ceil(u128::from(counted.max(1)))).unwrap_or(u64::MAX)
        };
        scaled(self.bytes, size.bytes).max(scaled(self.pieces, size.pieces))
    }

    /// A size that is estimated at this many tokens until the provider has counted an input.
    const fn of_tokens(tokens: u64) -> Self {
        Self {
            bytes: tokens * BYTES_PER_TOKEN,
            pieces: tokens,
        }
    }

    fn add_part(&mut self, part: &Part) {
        match part {
            Part::Text { text, .. } => self.add_text(text),
            Part::ImageUrl { .. } => self.add(Self::of_tokens(IMAGE_TOKENS)),
            Part::Unknown(fields) => self.add_json(fields),
        }
    }

    fn add_json(&mut self, value: &impl Serialize) {
        // Never fails: a request and its turns have a JSON form.
        if let Ok(json) = serde_json::to_string(value) {
            self.add_text(&json);
        }
    }

    fn add_text(&mut self, text: &str) {
        self.add(Self {
            bytes: text.len() as u64,
            pieces: pieces(text),
        });
    }
}

/// The kind of a byte. A piece consists of bytes of one kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ByteKind {
    Letter,
    Digit,
    Space,
    Sign,
    /// A byte of a character outside ASCII.
    Other,
}

impl ByteKind {
    const fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Self::Letter,
            b'0'..=b'9' => Self::Digit,
            byte if byte.is_ascii_whitespace() => Self::Space,
            byte if byte.is_ascii() => Self::Sign,
            _ => Self::Other,
        }
    }

    /// The pieces of a run of this many bytes.
    const fn pieces(self, bytes: u64) -> u64 {
        match self {
            Self::Letter => bytes.div_ceil(LETTERS_PER_PIECE),
            Self::Digit => bytes.div_ceil(DIGITS_PER_PIECE),
            Self::Other => bytes.div_ceil(OTHER_BYTES_PER_PIECE),
            Self::Sign => bytes,
            Self::Space => 0,
        }
    }
}

fn pieces(text: &str) -> u64 {
    let runs = text
        .as_bytes()
        .chunk_by(|first, second| ByteKind::of(*first) == ByteKind::of(*second));
    runs.filter_map(|run| Some(ByteKind::of(*run.first()?).pieces(run.len() as u64)))
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CountedSize, InputSize, pieces};

    #[test]
    fn pieces_are_short_words_digits_and_signs() {
        for (text, expected) in [
            ("", 0),
            ("one two", 2),
            ("internationalisation", 4),
            ("[1, 22, 3333]", 8),
            ("…", 1),
            ("日本", 2),
            ("  \n", 0),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn the_higher_estimate_is_used() {
        let size = |bytes, pieces| InputSize { bytes, pieces };
        let counted = Some(CountedSize {
            size: size(100, 20),
            tokens: 40,
        });
        for (own, counted, expected) in [
            (size(8, 1), None, 2),
            (size(8, 7), None, 7),
            (size(100, 20), counted, 40),
            (size(100, 30), counted, 60),
            (size(200, 20), counted, 80),
            (size(1, 1), counted, 2),
            (size(u64::MAX, 0), counted, u64::MAX / 5 * 2),
        ] {
            assert_eq!(own.tokens(counted), expected, "{own:?}");
        }
    }

    #[test]
    fn all_parts_of_a_turn_count_and_an_image_counts_as_one_thousand_tokens() {
        let size_of = |turn| InputSize::of_turn(&serde_json::from_value(turn).expect("a turn"));
        let text = size_of(json!({"role": "user", "content": "one two"}));
        assert_eq!((text.bytes, text.pieces), (16 + 7, 4 + 2));
        let url = format!("data:image/png;base64,{}", "A".repeat(100_000));
        let image = size_of(json!({"role": "user", "content": [
            {"type": "text", "text": "one two"},
            {"type": "image_url", "image_url": {"url": url}},
        ]}));
        assert_eq!((image.bytes, image.pieces), (16 + 7 + 4_000, 4 + 2 + 1_000));
        let call = size_of(json!({"role": "assistant", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]}));
        assert_eq!((call.bytes, call.pieces), (16 + 16 + 3, 4 + 4 + 3));
    }
}
