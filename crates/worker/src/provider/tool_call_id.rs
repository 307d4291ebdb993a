//! Generates ids for tool calls that a provider returned without one.
//!
//! An id is a hash of the request, so a repeated call gets the same ids and another call gets other ids. The ids are only
//! unique, not secret.

use forebay_shared::turn::Turn;

/// The prefix of every generated id. Ids of providers do not have it.
const PREFIX: &str = "call_fb_";

/// The id of the tool call at `index` in the reply to `turns`. `response_id` is the provider's id of the
/// reply, if it has one.
pub(super) fn generate(turns: &[Turn], response_id: Option<&str>, index: usize) -> String {
    let hash = match response_id {
        Some(id) => fnv1a(id.as_bytes()),
        // This cannot fail: a turn consists of texts and JSON values.
        None => fnv1a(&serde_json::to_vec(turns).unwrap_or_default()),
    };
    format!("{PREFIX}{hash:016x}_{index}")
}

/// Whether the id was generated here, so that the provider does not know it.
pub(super) fn is_generated(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// The FNV-1a hash with 64 bits. Unlike the standard hasher it is the same on every machine and in every
/// build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::{Role, Turn};

    use super::{generate, is_generated};

    #[test]
    fn only_the_same_call_gets_the_same_ids() {
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
        assert!(!is_generated("call_abc"));
    }
}
