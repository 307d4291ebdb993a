//! Ids for tool calls that came without one.
//!
//! Derived from what was sent, so that the same call gives the same ids whenever it is made, and
//! another one gives others. Not a defence against anybody: only a way to tell calls apart.

use forebay_shared::turn::Turn;

/// Begins every id made here, which tells them from the provider's own.
const PREFIX: &str = "call_fb_";

/// The id of the call at `index` in the reply to `turns`. `response_id` is the provider's name of its
/// reply, if it gave one.
pub(super) fn made(turns: &[Turn], response_id: Option<&str>, index: usize) -> String {
    let seed = match response_id {
        Some(id) => fnv1a(id.as_bytes()),
        // A turn is made of texts and JSON values only, so it can always be written.
        None => fnv1a(&serde_json::to_vec(turns).unwrap_or_default()),
    };
    format!("{PREFIX}{seed:016x}_{index}")
}

/// Whether the id was made here, so that the provider does not know it.
pub(super) fn is_made(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// FNV-1a with 64 bits: the same on every machine and with every compiler, unlike the standard hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use forebay_shared::turn::{Role, Turn};

    use super::{is_made, made};

    #[test]
    fn are_the_same_for_the_same_call_only() {
        let one = [Turn::text(Role::User, "a")];
        let two = [Turn::text(Role::User, "b")];
        assert_eq!(made(&one, None, 0), made(&one, None, 0));
        assert_ne!(made(&one, None, 0), made(&one, None, 1));
        assert_ne!(made(&one, None, 0), made(&two, None, 0));
        assert_ne!(made(&one, Some("r1"), 0), made(&one, Some("r2"), 0));
        assert!(is_made(&made(&one, None, 0)));
        assert!(!is_made("call_abc"));
    }
}
