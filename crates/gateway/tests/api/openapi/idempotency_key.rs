//! The published pattern of `Idempotency-Key` matches exactly what the gateway accepts.

use reqwest::{Method, header::HeaderValue};
use serde_json::json;

use super::document;
use crate::fixture::{Fixture, job_in_session};

#[tokio::test]
async fn the_pattern_of_the_key_is_what_the_gateway_accepts() {
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 1_000).await;
    let document = document(&gateway).await;
    let parameters = document["paths"]["/v1/jobs"]["post"]["parameters"].as_array();
    let mut parameters = parameters.into_iter().flatten();
    let key = parameters.find(|parameter| parameter["name"] == "Idempotency-Key");
    let schema = &key.expect("the header is described")["schema"];
    let validator = jsonschema::draft202012::new(schema).expect("the schema is valid");

    let longest = "x".repeat(255);
    let longest_quoted = format!("\"{longest}\"");
    let longest_escaped = format!("\"{}\"", r"\\".repeat(255));
    let inside = [
        "k",
        "order-66",
        "a b",
        "!",
        "~",
        "'k'",
        "a\"b",
        r"a\b",
        "a\"",
        longest.as_str(),
        // Quoted strings (RFC 9651, section 3.3.3).
        "\"k\"",
        "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
        "\" \"",
        "\" a b \"",
        r#""\"""#,
        r#""\\""#,
        r#""a\\\"b""#,
        &longest_quoted,
        &longest_escaped,
    ];
    let too_long = "x".repeat(256);
    let too_long_quoted = format!("\"{too_long}\"");
    let outside = [
        "",
        "\"",
        "\"\"",
        "\"open",
        "\"a\"b\"",
        "\"a\" ; b",
        r#""\x""#,
        r#""a\""#,
        "\"a\"b",
        "a\tb",
        "é",
        "\"é\"",
        too_long.as_str(),
        &too_long_quoted,
    ];
    for (keys, is_inside) in [(&inside[..], true), (&outside[..], false)] {
        for key in keys {
            assert_eq!(
                validator.is_valid(&json!(key)),
                is_inside,
                "the pattern: {key}"
            );
            let request = gateway.request(Method::POST, "/v1/jobs");
            let value = HeaderValue::from_bytes(key.as_bytes()).expect("a header");
            let request = request.header("idempotency-key", value);
            let response = gateway.send(request.json(&job_in_session("s"))).await;
            if is_inside {
                response.expect(202);
            } else {
                let problem = response.expect_problem(422, "invalid_request");
                assert_eq!(problem["errors"][0]["field"], "Idempotency-Key", "{key}");
                assert_eq!(problem["errors"][0]["in"], "header", "{key}");
            }
        }
    }
}
