//! Counts the tokens of a request, similar to a real tokenizer. Also makes texts with many tokens.

use serde_json::Value;

/// The tokens of each message in addition to those of its text.
const TOKENS_PER_MESSAGE: u64 = 4;

/// How a server counts tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tokenizer {
    /// Like a real tokenizer: one token for each short word, group of digits or sign. See [`pieces`].
    Pieces,
    /// One token for every four characters.
    Characters,
}

impl Tokenizer {
    /// The tokens of the messages and tools of a request.
    pub(super) fn count(self, body: &Value) -> u64 {
        let empty = Vec::new();
        let messages = body["messages"].as_array().unwrap_or(&empty);
        let of_messages: u64 = messages
            .iter()
            .map(|message| {
                let content = message["content"]
                    .as_str()
                    .map_or(0, |text| self.of_text(text));
                let calls = message
                    .get("tool_calls")
                    .map_or(0, |calls| self.of_text(&calls.to_string()));
                TOKENS_PER_MESSAGE + content + calls
            })
            .sum();
        let of_tools = body
            .get("tools")
            .map_or(0, |tools| self.of_text(&tools.to_string()));
        of_messages + of_tools
    }

    fn of_text(self, text: &str) -> u64 {
        match self {
            Self::Pieces => pieces(text),
            Self::Characters => (text.chars().count() as u64).div_ceil(4),
        }
    }
}

/// The number of pieces. A piece is up to six letters of a word, up to three digits, or another character that is not
/// whitespace.
fn pieces(text: &str) -> u64 {
    let mut tokens = 0;
    let mut characters = text.chars().peekable();
    while let Some(first) = characters.next() {
        let length_max = match first {
            c if c.is_alphabetic() => 6,
            c if c.is_ascii_digit() => 3,
            c if c.is_whitespace() => continue,
            _ => 1,
        };
        let mut length = 1;
        while length < length_max
            && characters
                .next_if(|next| {
                    next.is_alphabetic() == first.is_alphabetic() && next.is_alphanumeric()
                })
                .is_some()
        {
            length += 1;
        }
        tokens += 1;
    }
    tokens
}

/// A text of many words, with about one token for each word.
pub(super) fn prose(words: usize) -> String {
    let vocabulary = [
        "the", "harbour", "was", "quiet", "before", "any", "ship", "came", "in", "again",
    ];
    let chosen: Vec<&str> = (0..words)
        .map(|n| vocabulary[n * 7 % vocabulary.len()])
        .collect();
    chosen.join(" ")
}

/// A JSON array of `count` numbers. It has far more tokens for each byte than prose.
pub(super) fn numbers(count: usize, seed: usize) -> String {
    let numbers: Vec<usize> = (0..count).map(|n| (n * 37 + seed * 101) % 997).collect();
    format!("{numbers:?}")
}
