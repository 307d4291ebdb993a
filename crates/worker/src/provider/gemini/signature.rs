//! Thought signatures: opaque texts that Gemini puts on parts of its replies and wants back on the same
//! parts. Newer models refuse a replayed tool call without its own.
//!
//! They are kept in `extra_content`, in the form that Google's OpenAI-compatible endpoint uses, so that
//! a session can go on over either.

use serde_json::{Value, json};

/// The `extra_content` that keeps a signature.
pub(super) fn kept(signature: Option<String>) -> Option<Value> {
    signature.map(|signature| json!({"google": {"thought_signature": signature}}))
}

/// The signature that an `extra_content` keeps.
pub(super) fn of(extra_content: Option<&Value>) -> Option<&str> {
    extra_content?
        .get("google")?
        .get("thought_signature")?
        .as_str()
}
