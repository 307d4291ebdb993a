//! Maps a job's `reasoning_effort` to Gemini's `thinkingConfig`: a token budget for Gemini 2.5, and a level for Gemini 3 and
//! later. Models before Gemini 2.5 do not reason.

use forebay_shared::job::ReasoningEffort;
use serde_json::{Value, json};

use super::unsupported::unsupported;
use crate::provider::Failure;

/// The `thinkingConfig` for a model. The budgets are those of Google's OpenAI-compatible endpoint.
///
/// # Errors
/// `unsupported_parameter` when the model does not support the effort.
pub(super) fn config(model: &str, effort: &ReasoningEffort) -> Result<Value, Failure> {
    match generation(model) {
        Some((major, minor)) if (major, minor) < (2, 5) => Err(unsupported(&format!(
            "it sets reasoning_effort, but {model} does not reason"
        ))),
        Some((2, _)) => budget(model, effort).map(|tokens| json!({"thinkingBudget": tokens})),
        _ => level(effort).map(|level| json!({"thinkingLevel": level})),
    }
}

fn budget(model: &str, effort: &ReasoningEffort) -> Result<u32, Failure> {
    match effort {
        ReasoningEffort::None if model.contains("pro") => Err(unsupported(
            "the model does not support reasoning_effort none; use minimal, low, medium or high",
        )),
        ReasoningEffort::None => Ok(0),
        ReasoningEffort::Minimal | ReasoningEffort::Low => Ok(1_024),
        ReasoningEffort::Medium => Ok(8_192),
        ReasoningEffort::High => Ok(24_576),
        ReasoningEffort::Xhigh | ReasoningEffort::Unknown(_) => Err(unsupported(
            "the model does not support the job's reasoning_effort; use none, minimal, low, medium or high",
        )),
    }
}

fn level(effort: &ReasoningEffort) -> Result<&'static str, Failure> {
    match effort {
        ReasoningEffort::Minimal => Ok("minimal"),
        ReasoningEffort::Low => Ok("low"),
        ReasoningEffort::Medium => Ok("medium"),
        ReasoningEffort::High => Ok("high"),
        ReasoningEffort::None | ReasoningEffort::Xhigh | ReasoningEffort::Unknown(_) => {
            Err(unsupported(
                "the model does not support the job's reasoning_effort; use minimal, low, medium or high",
            ))
        }
    }
}

/// The generation in a name such as `gemini-2.5-flash`. `None` for a name without a generation, such as
/// `gemini-flash-latest`, which means the newest generation.
fn generation(model: &str) -> Option<(u32, u32)> {
    let version = model.strip_prefix("gemini-")?.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use forebay_shared::job::ReasoningEffort::{self, High, Low, Medium, Minimal, None, Xhigh};
    use serde_json::{Value, json};

    use super::config;

    #[test]
    fn each_generation_has_its_own_configuration() {
        let budget = |tokens: u32| Some(json!({"thinkingBudget": tokens}));
        let level = |word: &str| Some(json!({"thinkingLevel": word}));
        let rows: [(&str, ReasoningEffort, Option<Value>); 13] = [
            ("gemini-2.5-flash", None, budget(0)),
            ("gemini-2.5-flash", Minimal, budget(1_024)),
            ("gemini-2.5-flash-lite", Low, budget(1_024)),
            ("gemini-2.5-pro", Medium, budget(8_192)),
            ("gemini-2.5-pro", High, budget(24_576)),
            ("gemini-2.5-pro", None, Option::None),
            ("gemini-2.5-flash", Xhigh, Option::None),
            ("gemini-3-pro-preview", Low, level("low")),
            ("gemini-3.1-flash", Minimal, level("minimal")),
            ("gemini-flash-latest", High, level("high")),
            ("gemini-3-pro-preview", None, Option::None),
            ("gemini-3-pro-preview", Xhigh, Option::None),
            ("gemini-2.0-flash", Low, Option::None),
        ];
        for (model, effort, expected) in rows {
            match (config(model, &effort), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected, "{model} {effort:?}"),
                (Err(failure), Option::None) => {
                    assert_eq!(failure.error.code, "unsupported_parameter");
                }
                (found, expected) => panic!("{model} {effort:?}: {found:?}, not {expected:?}"),
            }
        }
    }
}
