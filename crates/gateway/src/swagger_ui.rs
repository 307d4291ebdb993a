//! `GET /docs`: the OpenAPI document as a page, shown by Swagger UI.
//!
//! The page loads nothing from other hosts, and its Content-Security-Policy allows only scripts of this gateway. The folder
//! `swagger-ui` of this crate has the files and their licence. They are sent as they are stored, compressed with gzip, which every
//! browser accepts.

use axum::{
    extract::{Path, rejection::PathRejection},
    http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
    response::{IntoResponse, Response},
};

use crate::{problem::Problem, problem_code::ProblemCode};

/// The names of the files that the page loads.
pub(crate) const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "start.js"];

const CSS: &[u8] = include_bytes!("../swagger-ui/swagger-ui.css.gz");
const SCRIPT: &[u8] = include_bytes!("../swagger-ui/swagger-ui-bundle.js.gz");

/// The addresses are relative, so that the page also works below the path of a proxy.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Forebay API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"#;

/// Without a validator, Swagger UI sends the document to no other host.
const START: &str = r##"SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true});
"##;

/// Swagger UI sets some styles in its elements, so styles may be inline. Scripts may not.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shows the page.
pub(crate) async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE).into_response()
}

/// Sends a file of the page.
pub(crate) async fn file(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|_| no_such_file())?;
    let (content_type, bytes, is_compressed): (_, &'static [u8], _) = match name.as_str() {
        "swagger-ui.css" => ("text/css; charset=utf-8", CSS, true),
        "swagger-ui-bundle.js" => ("text/javascript; charset=utf-8", SCRIPT, true),
        "start.js" => ("text/javascript; charset=utf-8", START.as_bytes(), false),
        _ => return Err(no_such_file()),
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "max-age=3600"),
    ];
    if is_compressed {
        return Ok(([(CONTENT_ENCODING, "gzip")], headers, bytes).into_response());
    }
    Ok((headers, bytes).into_response())
}

fn no_such_file() -> Problem {
    Problem::new(ProblemCode::NotFound, "the page has no such file")
}
