//! The error responses and the headers of responses.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{problem::MERGE_PATCH, problem_code::ProblemCode};

/// The name of the security scheme.
pub(super) const SECURITY_SCHEME: &str = "apiKey";

/// The problems that each route can answer.
pub(super) const OF_EVERY_ROUTE: [ProblemCode; 10] = [
    ProblemCode::InvalidHttp,
    ProblemCode::OriginNotAllowed,
    ProblemCode::RequestTimeout,
    ProblemCode::BodyTimeout,
    ProblemCode::BodyTooLarge,
    ProblemCode::UriTooLong,
    ProblemCode::HostNotAllowed,
    ProblemCode::HeadersTooLarge,
    ProblemCode::Internal,
    ProblemCode::Overloaded,
];

/// The error responses of these problems, by status. Each response lists the codes that it may have.
pub(super) fn of_problems(codes: &[ProblemCode]) -> BTreeMap<String, Value> {
    let mut by_status: BTreeMap<String, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        let (status, _, _) = code.row();
        let of_status = by_status.entry(status.as_str().to_owned()).or_default();
        if !of_status.contains(code) {
            of_status.push(*code);
        }
    }
    by_status
        .into_iter()
        .map(|(status, codes)| {
            let response = response(&status, &codes);
            (status, response)
        })
        .collect()
}

fn response(status: &str, codes: &[ProblemCode]) -> Value {
    let rows = codes.iter().map(|code| {
        let (_, text, title) = code.row();
        format!("`{text}`: {title}.")
    });
    let rows: Vec<String> = rows.collect();
    let texts: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let mut names = vec!["X-Request-Id"];
    match status {
        "429" | "503" => names.push("Retry-After"),
        "415" => names.extend(["Accept-Encoding", "Accept-Patch"]),
        "401" => names.push("WWW-Authenticate"),
        "403" if codes.contains(&ProblemCode::InsufficientScope) => names.push("WWW-Authenticate"),
        _ => {}
    }
    json!({
        "description": rows.join(" "),
        "headers": headers(&names),
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": texts}}},
                    ],
                },
            },
        },
    })
}

/// References to the headers of these names.
pub(super) fn headers(names: &[&str]) -> Value {
    let reference = |name: &&str| {
        let reference = format!("#/components/headers/{name}");
        ((*name).to_owned(), json!({"$ref": reference}))
    };
    Value::Object(names.iter().map(reference).collect::<Map<_, _>>())
}

/// The definitions of the headers that responses may have.
pub(super) fn header_components() -> Value {
    let header =
        |description: &str, schema: Value| json!({"description": description, "schema": schema});
    json!({
        "X-Request-Id": header(
            "The id of the request: the client's own, or a new one. It is in the gateway's log lines.",
            json!({"type": "string", "minLength": 1, "maxLength": 128}),
        ),
        "Retry-After": header(
            "After how many seconds to ask again (RFC 9110, section 10.2.3).",
            json!({"type": "integer", "minimum": 1}),
        ),
        "Location": header("The path of the job or of the session.", json!({"type": "string"})),
        "Idempotency-Replayed": header(
            "`true` if an earlier request with this Idempotency-Key made the job. Otherwise absent.",
            json!({"type": "string", "const": "true"}),
        ),
        "Preference-Applied": header(
            "The preferences of `Prefer` that were applied (RFC 7240).",
            json!({"type": "string", "pattern": "^(respond-async|wait=[0-9]+|respond-async, wait=[0-9]+)$"}),
        ),
        "Accept-Encoding": header(
            "`identity` if the body was compressed. Otherwise absent.",
            json!({"type": "string", "const": "identity"}),
        ),
        "Accept-Patch": header(
            "The media type of a PATCH (RFC 5789, section 3.1). Absent for other methods.",
            json!({"type": "string", "const": MERGE_PATCH}),
        ),
        "WWW-Authenticate": header(
            "Whether the API key is missing, is not valid or lacks a scope (RFC 6750, section 3). Absent if the request is refused for another reason.",
            json!({"type": "string", "pattern": "^Bearer "}),
        ),
        "RateLimit-Policy": header(
            "The limits of the tenant (draft-ietf-httpapi-ratelimit-headers-11): `requests`, with the quota `q` and the window of `w` \
             seconds, and `live`, the live jobs. Absent if the tenant has no limits.",
            json!({"type": "string"}),
        ),
        "RateLimit": header(
            "What remains of the limits in `RateLimit-Policy`: `r`, and for `requests` the seconds `t` until the window ends. Other \
             gateways may have used more meanwhile.",
            json!({"type": "string"}),
        ),
        "ETag": header("The version of the content.", json!({"type": "string"})),
    })
}
