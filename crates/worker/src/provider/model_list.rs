//! Reads a provider's list of its models, in the form of OpenAI or of Gemini.

use serde_json::Value;

use super::{Failure, Retry, json_body};

/// The most models of a list that are read.
const MODELS_MAX: usize = 1_000;

/// What precedes each model in Gemini's list.
const GEMINI_PREFIX: &str = "models/";

/// The names of the models in the body of an answer.
///
/// # Errors
/// `invalid_response` when the body is not a list of models.
pub(super) fn read(body: &[u8]) -> Result<Vec<String>, Failure> {
    let body: Value = json_body::read(body)?;
    let (data, models) = (&body["data"], &body["models"]);
    let list = [data, models, &body].into_iter().find_map(Value::as_array);
    let Some(list) = list else {
        // Ollama without models answers with `"data": null`.
        if body.get("data").is_some_and(Value::is_null) {
            return Ok(Vec::new());
        }
        return Err(Failure::new(
            "invalid_response",
            "the provider's answer is not a list of models",
            Retry::Never,
        ));
    };
    let mut names: Vec<String> = Vec::new();
    for name in list.iter().filter_map(name).take(MODELS_MAX) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn name(model: &Value) -> Option<String> {
    let name = [&model["id"], &model["name"], model]
        .into_iter()
        .find_map(Value::as_str)?;
    let name = name.strip_prefix(GEMINI_PREFIX).unwrap_or(name);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    fn names(body: &Value) -> Result<Vec<String>, String> {
        read(body.to_string().as_bytes()).map_err(|failure| failure.error.code)
    }

    #[test]
    fn each_form_of_a_list_is_read() {
        for (body, expected) in [
            (
                json!({"object": "list", "data": [{"id": "qwen3:8b", "object": "model"}, {"id": "a/b"}]}),
                vec!["qwen3:8b", "a/b"],
            ),
            // llama.cpp lists its model twice.
            (
                json!({"models": [{"name": "m"}], "object": "list", "data": [{"id": "m"}, {"id": "m"}]}),
                vec!["m"],
            ),
            (json!([{"id": "x"}]), vec!["x"]),
            (
                json!({"models": [{"name": "models/gemini-2.5"}]}),
                vec!["gemini-2.5"],
            ),
            (json!({"data": ["x", {"other": 1}, ""]}), vec!["x"]),
            (json!({"object": "list", "data": null}), vec![]),
            (json!({"data": []}), vec![]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(names(&body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        for body in [json!({"status": "ok"}), json!("models"), json!({"data": 1})] {
            assert_eq!(
                names(&body),
                Err(String::from("invalid_response")),
                "{body}"
            );
        }
        assert!(read(b"<html>hello</html>").is_err());
    }
}
