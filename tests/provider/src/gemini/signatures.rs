//! The thought signatures that the scripted Gemini hands out and wants back unchanged.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

/// What the real service takes in place of a signature for a call that it did not make itself. Taken
/// here too, but not for a call that this server made.
pub const SKIP: &str = "skip_thought_signature_validator";

/// The most signatures remembered; a test that needs more has lost its way.
const ISSUED_MAX: usize = 100_000;

/// All signatures handed out, by the call they belong to. The same call may have been made often.
#[derive(Debug, Default)]
pub struct Signatures {
    issued: Mutex<HashMap<String, Vec<String>>>,
}

impl Signatures {
    /// A signature for this call, made in reply to request `n`.
    ///
    /// # Panics
    /// After 100,000 different calls.
    #[must_use]
    pub fn issue(&self, n: usize, function_call: &Value) -> String {
        let signature = format!("c2lnLW{n}x/+=");
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(issued.len() < ISSUED_MAX, "too many signatures issued");
        issued
            .entry(name_and_args(function_call))
            .or_default()
            .push(signature.clone());
        signature
    }

    /// Whether this signature may come back with this call.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, function_call: &Value, signature: Option<&str>) -> Result<(), String> {
        let name = function_call["name"].as_str().unwrap_or_default();
        let Some(signature) = signature else {
            return Err(format!(
                "Function call `{name}` is missing a thought_signature in functionCall parts."
            ));
        };
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = match issued.get(&name_and_args(function_call)) {
            Some(signatures) => signatures.iter().any(|issued| issued == signature),
            None => signature == SKIP,
        };
        if valid {
            Ok(())
        } else {
            Err(format!(
                "Function call `{name}`: thought signature is not valid."
            ))
        }
    }
}

fn name_and_args(function_call: &Value) -> String {
    // An object's keys stay in the order in which they came (serde_json's `preserve_order`), so a call that
    // comes back as it was made gives equal text. One with its keys in another order is another call.
    format!("{} {}", function_call["name"], function_call["args"])
}
