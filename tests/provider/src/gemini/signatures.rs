//! The thought signatures that the scripted Gemini issues. Clients must send them back unchanged.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

/// The marker that the real service accepts instead of a signature. It is for calls of other models, so the scripted
/// Gemini refuses the marker for a call that has an issued signature.
pub const SKIP_MARKER: &str = "skip_thought_signature_validator";

/// How many different calls may have signatures. No test needs more.
const ISSUED_MAX: usize = 100_000;

/// All issued signatures.
#[derive(Debug, Default)]
pub struct Signatures {
    /// The signatures of each function call, by the call's name and arguments. Equal calls share an entry with a signature for each.
    issued: Mutex<HashMap<String, Vec<String>>>,
}

impl Signatures {
    /// Issues a signature for this call, which is part of the reply to the request with this number.
    ///
    /// # Panics
    /// After 100,000 different calls.
    #[must_use]
    pub fn issue(&self, request_number: usize, function_call: &Value) -> String {
        let signature = format!("c2lnLW{request_number}x/+=");
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            issued.len() < ISSUED_MAX,
            "the test makes more than {ISSUED_MAX} different function calls"
        );
        issued
            .entry(name_and_args(function_call))
            .or_default()
            .push(signature.clone());
        signature
    }

    /// Checks that a client may send this signature with this call.
    ///
    /// # Errors
    /// Why the signature is not valid.
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
            None => signature == SKIP_MARKER,
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
    // serde_json keeps the order of an object's keys (`preserve_order`), so a call that is sent back unchanged gives
    // the same text. A call with its keys in another order counts as another call.
    format!("{} {}", function_call["name"], function_call["args"])
}
