//! The description of one route, as an operation of OpenAPI 3.1.

use std::fmt::Write as _;

use axum::http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answers;
use crate::{auth::Scope, problem_code::ProblemCode, query_parameters::Parameters};

/// The description of one route.
pub(crate) struct Operation {
    fields: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    problems: Vec<ProblemCode>,
    /// Headers that every response of the route may have, besides its own.
    headers: &'static [&'static str],
}

impl Operation {
    /// A route whose only parameter is the header `X-Request-Id`. `id` is unique among the routes.
    pub(super) fn new(id: &str, tag: &str, summary: &str, description: &str) -> Self {
        let fields = json!({
            "operationId": id,
            "tags": [tag],
            "summary": summary,
            "description": description,
        });
        Self {
            fields: fields.as_object().cloned().unwrap_or_default(),
            parameters: vec![json!({"$ref": "#/components/parameters/X-Request-Id"})],
            responses: Map::new(),
            problems: Vec::new(),
            headers: &[],
        }
    }

    /// Adds the parameters of the query.
    pub(super) fn query(mut self, parameters: Parameters) -> Self {
        for parameter in parameters {
            let (name, description) = (parameter.name(), parameter.description());
            self = self.parameter(name, "query", description, &parameter.schema());
        }
        self
    }

    /// Adds a parameter of the path, the query or the headers.
    pub(super) fn parameter(
        mut self,
        name: &str,
        place: &str,
        description: &str,
        schema: &Value,
    ) -> Self {
        self.parameters.push(json!({
            "name": name,
            "in": place,
            "required": place == "path",
            "description": description,
            "schema": schema,
        }));
        self
    }

    /// Sets the body, which is required and JSON.
    pub(super) fn body(self, description: &str, schema: &Value) -> Self {
        self.body_of_type("application/json", description, schema)
    }

    /// Sets the body, which is required and has this media type.
    pub(super) fn body_of_type(
        mut self,
        media_type: &str,
        description: &str,
        schema: &Value,
    ) -> Self {
        let body = json!({
            "required": true,
            "description": description,
            "content": {media_type: {"schema": schema}},
        });
        self.fields.insert(String::from("requestBody"), body);
        self
    }

    /// Makes the body optional.
    pub(super) fn with_optional_body(mut self) -> Self {
        if let Some(body) = self.fields.get_mut("requestBody") {
            body["required"] = json!(false);
        }
        self
    }

    /// Adds a response with a JSON body of the type `T`.
    pub(super) fn json<T: JsonSchema>(
        self,
        generator: &mut SchemaGenerator,
        status: StatusCode,
        description: &str,
        headers: &[&str],
    ) -> Self {
        let schema = generator.subschema_for::<T>();
        let content = json!({"application/json": {"schema": schema}});
        self.response(status, description, headers, Some(content))
    }

    /// Adds a response. `content` is its media types.
    pub(super) fn response(
        mut self,
        status: StatusCode,
        description: &str,
        headers: &[&str],
        content: Option<Value>,
    ) -> Self {
        let mut response = json!({
            "description": description,
            "headers": answers::headers(headers),
        });
        if let Some(content) = content {
            response["content"] = content;
        }
        self.responses.insert(status.as_str().to_owned(), response);
        self
    }

    /// Adds the error responses of the route, besides those that every route has.
    pub(super) fn problems(mut self, codes: &[ProblemCode]) -> Self {
        self.problems.extend(codes);
        self
    }

    /// Requires an API key with one of these scopes.
    pub(super) fn requires(mut self, scopes: &[Scope]) -> Self {
        let names = scopes.iter().map(|scope| format!("`{}`", scope.as_str()));
        let names = names.collect::<Vec<_>>().join(" or ");
        if let Some(Value::String(description)) = self.fields.get_mut("description") {
            let _ = write!(description, " Requires an API key with the scope {names}.");
        }
        let security = json!([{answers::SECURITY_SCHEME: []}]);
        self.fields.insert(String::from("security"), security);
        self.problems(&[
            ProblemCode::Unauthorized,
            ProblemCode::InsufficientScope,
            ProblemCode::StoreUnavailable,
        ])
    }

    /// States that requests to the route count against the limits of tenants.
    pub(super) fn limited(mut self) -> Self {
        self.headers = &["RateLimit-Policy", "RateLimit"];
        self.problems(&[ProblemCode::QuotaExceeded])
    }

    /// The operation as JSON.
    pub(super) fn into_value(mut self) -> Value {
        self.problems.extend(answers::OF_EVERY_ROUTE);
        for (status, response) in answers::of_problems(&self.problems) {
            self.responses.entry(status).or_insert(response);
        }
        for response in self.responses.values_mut() {
            if let (Value::Object(all), Some(headers)) = (
                answers::headers(self.headers),
                response["headers"].as_object_mut(),
            ) {
                headers.extend(all);
            }
        }
        let mut responses: Vec<(String, Value)> = self.responses.into_iter().collect();
        responses.sort_by(|left, right| left.0.cmp(&right.0));
        self.fields
            .insert(String::from("parameters"), json!(self.parameters));
        self.fields.insert(
            String::from("responses"),
            Value::Object(responses.into_iter().collect()),
        );
        Value::Object(self.fields)
    }
}
