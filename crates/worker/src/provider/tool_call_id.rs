//! Generates ids for tool calls that a provider returned without one, and replaces ids that a provider does not accept.
//!
//! All ids made here have nine characters, letters and digits, because Mistral's API accepts no others. They are hashes, so
//! that the same call always gets the same id. They have to be unique within a session only, and need not be secret.

use std::cell::LazyCell;

use forebay_shared::turn::Turn;

/// The length of an id that is made here.
const LENGTH: usize = 9;

/// The prefix of every generated id. A provider's own id may have this prefix by chance. Such an id counts as generated,
/// which does no harm.
const PREFIX: &str = "fby";

/// The prefix of generated ids in sessions that an older release stored.
const OLD_PREFIX: &str = "call_fb_";

/// The form of the ids that a provider accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToolCallIdForm {
    /// Any text.
    Any,
    /// At most 40 characters: OpenAI's own service.
    Short,
    /// Exactly nine characters, letters and digits: Mistral's API, and servers with the chat templates of its models.
    NineCharacters,
}

impl ToolCallIdForm {
    /// The id to send for `id`: the id itself if it has this form, otherwise a hash of the id.
    pub(super) fn apply(self, id: &str) -> String {
        let has_form = match self {
            Self::Any => true,
            Self::Short => id.chars().count() <= 40,
            Self::NineCharacters => {
                id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
        };
        if has_form {
            id.to_owned()
        } else {
            base62(fnv1a(HASH_START, id.as_bytes()), LENGTH)
        }
    }
}

/// Returns a function that generates the ids of the tool calls in the reply to `turns`. Its argument is the index of the
/// call. `response_id` is the provider's id of the reply, if the reply has one.
pub(super) fn generator(turns: &[Turn], response_id: Option<&str>) -> impl Fn(usize) -> String {
    let hash_of_reply = LazyCell::new(move || {
        let hash = fnv1a(HASH_START, response_id.unwrap_or_default().as_bytes());
        // Some services give every reply the same id, so the turns are hashed too. Their serialization cannot fail, because a
        // turn consists of texts and JSON values.
        fnv1a(hash, &serde_json::to_vec(turns).unwrap_or_default())
    });
    move |index| {
        let hash = fnv1a(*hash_of_reply, &index.to_le_bytes());
        format!("{PREFIX}{}", base62(hash, LENGTH - PREFIX.len()))
    }
}

/// Whether the id was generated here, so that the provider does not know it.
pub(super) fn is_generated(id: &str) -> bool {
    id.starts_with(OLD_PREFIX) || (id.len() == LENGTH && id.starts_with(PREFIX))
}

/// The start value of an FNV-1a hash with 64 bits.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Continues an FNV-1a hash with 64 bits. Unlike the standard hasher it is the same on every machine and in every
/// build.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The last `length` digits of a number in base 62, from the last digit to the first.
fn base62(mut number: u64, length: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = String::with_capacity(length);
    for _ in 0..length {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        digits.push(char::from(DIGITS[digit]));
        number /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::{Role, Turn};

    use super::{ToolCallIdForm, generator, is_generated};

    fn generate(turns: &[Turn], response_id: Option<&str>, index: usize) -> String {
        generator(turns, response_id)(index)
    }

    fn has_nine_letters_and_digits(id: &str) -> bool {
        id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }

    #[test]
    fn only_the_same_call_gets_the_same_id() {
        let turns = [Turn::text(Role::User, "a")];
        let other_turns = [Turn::text(Role::User, "b")];
        assert_eq!(generate(&turns, None, 0), generate(&turns, None, 0));
        assert_ne!(generate(&turns, None, 0), generate(&turns, None, 1));
        assert_ne!(generate(&turns, None, 0), generate(&other_turns, None, 0));
        assert_ne!(
            generate(&turns, Some("r1"), 0),
            generate(&turns, Some("r2"), 0)
        );
        assert!(is_generated(&generate(&turns, None, 0)));
        assert_ne!(
            generate(&turns, Some("r1"), 0),
            generate(&other_turns, Some("r1"), 0)
        );
        assert!(is_generated("call_fb_00000000000000ff_0"));
        assert!(!is_generated("call_abc"));
        assert!(!is_generated("fby"));
    }

    #[test]
    fn generated_ids_have_nine_letters_and_digits() {
        for index in 0..200 {
            let id = generate(&[], Some("r"), index);
            assert!(has_nine_letters_and_digits(&id), "{id}");
        }
    }

    #[test]
    fn ids_that_a_provider_does_not_accept_are_replaced() {
        use ToolCallIdForm::{Any, NineCharacters, Short};
        let long = "c".repeat(41);
        for (form, id) in [
            (Any, long.as_str()),
            (Short, "call_1"),
            (Short, &long[1..]),
            (NineCharacters, "Ab3Ab3Ab3"),
        ] {
            assert_eq!(form.apply(id), id, "{form:?}");
        }
        for (form, id) in [
            (Short, long.as_str()),
            (NineCharacters, "call_1"),
            (NineCharacters, "functions.f:0"),
            (NineCharacters, "7"),
        ] {
            let sent = form.apply(id);
            assert!(has_nine_letters_and_digits(&sent), "{sent}");
            assert_eq!(sent, form.apply(id));
            assert_ne!(sent, form.apply("another"));
        }
    }
}
