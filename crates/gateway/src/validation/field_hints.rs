//! What to write instead of a field of other APIs.

const IN_EXTRA_BODY: &str =
    "is not a field of a job; fields in extra_body go to the provider as they are";

/// What to write instead of an unknown field of a submit, for fields of other APIs and for other spellings of a known field.
pub(super) fn hint(name: &str, known_fields: &str) -> Option<String> {
    // Only a submit has the field `input`. Other bodies have no counterpart in other APIs.
    let is_submit = known_fields.split(", ").any(|known| known == "input");
    if is_submit && let Some(hint) = other_api_hint(name) {
        return Some(hint.to_owned());
    }
    let simplified = |name: &str| -> String {
        let chars = name.chars().filter(|char| char.is_alphanumeric());
        chars.flat_map(char::to_lowercase).collect()
    };
    let wanted = simplified(name);
    known_fields
        .split(", ")
        .find(|known| simplified(known) == wanted)
        .map(|known| format!("is an unknown field; write {known}"))
}

fn other_api_hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "messages" => "is named input here; input accepts the same messages",
        "prompt" | "query" | "text" | "message" | "content" => "is named input here",
        "system" | "system_prompt" | "system_instruction" | "systemInstruction" => {
            "is named instructions here"
        }
        "max_tokens" | "max_completion_tokens" | "maxOutputTokens" | "num_predict" => {
            "is named max_output_tokens here"
        }
        "stream" | "stream_options" => {
            "is not supported, because replies are not streamed; GET /v1/jobs/{id}?wait_s=60 waits for the reply"
        }
        "session"
        | "sessionId"
        | "conversation"
        | "conversation_id"
        | "thread_id"
        | "previous_response_id" => "is named session_id here",
        "functions" => "is named tools here",
        "function_call" => "is named tool_choice here",
        "reasoning" => "is not supported; use reasoning_effort",
        "stop_sequences" => "is named stop here",
        "timeout" | "ttl" | "deadline" => "is not supported; use expires_in_s",
        "idempotency_key" => "is a header here: Idempotency-Key",
        "wait" | "wait_s" => "is a query parameter here: POST /v1/jobs?wait_s=30",
        "seed"
        | "n"
        | "user"
        | "top_k"
        | "min_p"
        | "top_logprobs"
        | "logprobs"
        | "logit_bias"
        | "frequency_penalty"
        | "presence_penalty"
        | "repetition_penalty"
        | "parallel_tool_calls"
        | "service_tier"
        | "store"
        | "modalities"
        | "audio"
        | "prediction"
        | "verbosity"
        | "safety_settings"
        | "safetySettings"
        | "options"
        | "keep_alive"
        | "prompt_cache_key"
        | "safety_identifier"
        | "web_search_options" => IN_EXTRA_BODY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn fields_of_other_apis_and_other_spellings_have_a_hint() {
        let known = "input, max_output_tokens, session_id";
        for (name, expected) in [
            ("messages", "input"),
            ("max_tokens", "max_output_tokens"),
            ("stream", "wait_s"),
            ("seed", "extra_body"),
            ("Input", "write input"),
            ("maxoutput-tokens", "write max_output_tokens"),
        ] {
            let hint = hint(name, known).unwrap_or_default();
            assert!(hint.contains(expected), "{name}: {hint}");
        }
        assert_eq!(hint("foo", known), None);
    }
}
