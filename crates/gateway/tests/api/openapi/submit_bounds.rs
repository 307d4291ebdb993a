//! Every bound of the published schemas of submits and sessions holds: the gateway accepts a body just inside it and refuses one just
//! outside. So a bound that is only published, or only enforced, fails. A library for JSON Schema agrees in each case.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    document,
    samples::{refused_types, sample, session_with, submit_with},
};
use crate::fixture::Fixture;

/// The keyword for the depth of a value.
const DEPTH: &str = "x-depth-max";

/// A body for each value of one node of the schema.
type Put<'a> = &'a dyn Fn(Value) -> Value;

/// A value of each size.
type OfSize<'a> = &'a dyn Fn(usize) -> Value;

/// Bodies to submit, each with the bound that it tests.
#[derive(Default)]
struct Bodies {
    inside: Vec<(String, Value)>,
    outside: Vec<(String, Value)>,
}

impl Bodies {
    fn inside(&mut self, bound: &str, body: Value) {
        self.inside.push((bound.to_owned(), body));
    }

    fn outside(&mut self, bound: &str, body: Value) {
        self.outside.push((bound.to_owned(), body));
    }

    /// Adds bodies for the bounds of a schema and of all schemas in it. `is_branch` is set for a schema of a `oneOf` or `anyOf`,
    /// where a value of another type may be accepted.
    fn add(&mut self, schema: &Value, path: &str, is_branch: bool, put: Put<'_>) {
        self.inside(path, put(sample(schema)));
        if !is_branch {
            for value in refused_types(schema) {
                self.outside(&format!("{path} type"), put(value));
            }
        }
        if let Some(levels) = schema["x-depth-max"].as_u64() {
            self.inside(&format!("{path} {DEPTH}"), put(nested(levels)));
            self.outside(&format!("{path} {DEPTH}"), put(nested(levels + 1)));
        }
        self.add_words(schema, path, put);
        self.add_numbers(schema, path, put);
        self.add_sizes(schema, path, put);
        self.add_fields(schema, path, put);
        for keyword in ["oneOf", "anyOf"] {
            let branches = schema[keyword].as_array().into_iter().flatten();
            for (index, branch) in branches.enumerate() {
                self.add(branch, &format!("{path}/{keyword}/{index}"), true, put);
            }
        }
        if let Some(items) = schema.get("items") {
            self.add(items, &format!("{path}/items"), false, &|value| {
                put(json!([value]))
            });
        }
    }

    fn add_words(&mut self, schema: &Value, path: &str, put: Put<'_>) {
        let words = schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(schema.get("const"));
        let mut has_words = false;
        for word in words.filter(|word| !word.is_null()) {
            has_words = true;
            self.inside(&format!("{path} {word}"), put(word.clone()));
        }
        if has_words {
            self.outside(&format!("{path} words"), put(json!("no-such-word")));
        }
        for word in schema["not"]["enum"].as_array().into_iter().flatten() {
            self.outside(&format!("{path} not {word}"), put(word.clone()));
        }
        if schema.get("pattern").is_some() {
            self.outside(&format!("{path} pattern"), put(json!("\u{1}")));
        }
    }

    fn add_numbers(&mut self, schema: &Value, path: &str, put: Put<'_>) {
        let is_whole = schema["type"].to_string().contains("integer");
        let beside = |bound: &Value, sign: f64| {
            let number = bound.as_f64().expect("a bound is a number");
            if is_whole {
                json!(number + sign)
            } else {
                json!(number + sign / 1024.0)
            }
        };
        for (keyword, sign) in [("minimum", -1.0), ("maximum", 1.0)] {
            if let Some(bound) = schema.get(keyword) {
                self.inside(&format!("{path} {keyword}"), put(bound.clone()));
                self.outside(&format!("{path} {keyword}"), put(beside(bound, sign)));
            }
        }
        if let Some(bound) = schema.get("exclusiveMinimum") {
            self.inside(&format!("{path} exclusiveMinimum"), put(beside(bound, 1.0)));
            self.outside(&format!("{path} exclusiveMinimum"), put(bound.clone()));
        }
    }

    fn add_sizes(&mut self, schema: &Value, path: &str, put: Put<'_>) {
        let text = |count: usize| {
            let begin = sample(schema).as_str().unwrap_or_default().to_owned();
            let missing = count.saturating_sub(begin.chars().count());
            json!(
                begin
                    .chars()
                    .take(count)
                    .chain(std::iter::repeat_n('x', missing))
                    .collect::<String>()
            )
        };
        let list = |count: usize| Value::Array(vec![sample(&schema["items"]); count]);
        let object = |count: usize| (0..count).map(|n| (format!("k{n}"), json!("v"))).collect();
        let sizes: [(&str, &str, OfSize<'_>); 3] = [
            ("minLength", "maxLength", &text),
            ("minItems", "maxItems", &list),
            ("minProperties", "maxProperties", &object),
        ];
        for (least, most, value_of) in sizes {
            let bound = |keyword| {
                schema
                    .get(keyword)
                    .and_then(Value::as_u64)
                    .map(|n| n as usize)
            };
            if let Some(least_count) = bound(least).filter(|count| *count > 0) {
                self.inside(&format!("{path} {least}"), put(value_of(least_count)));
                self.outside(&format!("{path} {least}"), put(value_of(least_count - 1)));
            }
            if let Some(most_count) = bound(most) {
                self.inside(&format!("{path} {most}"), put(value_of(most_count)));
                self.outside(&format!("{path} {most}"), put(value_of(most_count + 1)));
            }
        }
    }

    fn add_fields(&mut self, schema: &Value, path: &str, put: Put<'_>) {
        let fields = || sample_object(schema);
        let put_field = |name: &str, value: Value| {
            let mut fields = fields();
            fields.insert(name.to_owned(), value);
            put(Value::Object(fields))
        };
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let mut fields = fields();
            fields.remove(name);
            self.outside(
                &format!("{path} required {name}"),
                put(Value::Object(fields)),
            );
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let put = |value| put_field(name, value);
            self.add(property, &format!("{path}/{name}"), false, &put);
        }
        match schema.get("additionalProperties") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                for value in [json!(1), json!(null)] {
                    self.outside(
                        &format!("{path} additionalProperties"),
                        put_field("no_such_field", value),
                    );
                }
            }
            Some(additional) => {
                let put = |value| put_field("no_such_field", value);
                self.add(additional, &format!("{path}/*"), false, &put);
            }
        }
        if let Some(names) = schema.get("propertyNames") {
            let put = |name: Value| put_field(name.as_str().unwrap_or_default(), json!("v"));
            self.add_sizes(names, &format!("{path} propertyNames"), &put);
        }
    }
}

/// An object with this many levels.
fn nested(levels: u64) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({"x": inner}))
}

fn sample_object(schema: &Value) -> Map<String, Value> {
    sample(schema).as_object().cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_bound_of_the_published_schema_is_enforced() {
    let gateway = Fixture::start().await;
    let schema = document(&gateway).await["components"]["schemas"]["Submit"].take();
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is valid");
    let mut bodies = Bodies::default();
    bodies.add_fields(&schema, "", &|value| value);
    assert!(bodies.inside.len() > 200 && bodies.outside.len() > 300);
    let mut faults = Vec::new();
    let outside = bodies.outside.into_iter().map(|body| (body, 422));
    let inside = bodies.inside.into_iter().map(|body| (body, 202));
    for (index, ((bound, body), expected)) in inside.chain(outside).enumerate() {
        let body = submit_with(body, index);
        let response = gateway.submit(&body).await;
        let is_valid = validator.is_valid(&body);
        // JSON Schema has no keyword for a depth.
        let library_agrees = is_valid == (expected == 202) || bound.ends_with(DEPTH);
        let errors = response.body["errors"].to_string();
        // The new sessions have no turns to replace, whatever the number.
        let is_accepted_number = expected == 202
            && bound.starts_with("/replace_from_turn")
            && errors.contains("has no turn");
        if (response.status != expected && !is_accepted_number) || !library_agrees {
            let body: String = body.to_string().chars().take(300).collect();
            faults.push(format!(
                "{bound}: {} {errors}, {is_valid}: {body}",
                response.status
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The same for the bodies of sessions. A session of the path exists.
#[tokio::test]
async fn every_bound_of_the_schemas_of_sessions_is_enforced() {
    let gateway = Fixture::start().await;
    let mut schemas = document(&gateway).await["components"]["schemas"].take();
    let mut faults = Vec::new();
    for (name, method, media_type) in [
        ("SessionPut", Method::PUT, "application/json"),
        (
            "SessionPatch",
            Method::PATCH,
            "application/merge-patch+json",
        ),
    ] {
        let schema = schemas[name].take();
        let validator = jsonschema::draft202012::new(&schema).expect("the schema is valid");
        let mut bodies = Bodies::default();
        bodies.add_fields(&schema, "", &|value| value);
        assert!(
            bodies.inside.len() > 15 && bodies.outside.len() > 30,
            "{name}"
        );
        let outside = bodies.outside.into_iter().map(|body| (body, 422));
        let inside = bodies.inside.into_iter().map(|body| (body, 200));
        let put = gateway.request(Method::PUT, "/v1/sessions/s");
        let put = gateway.send(put.json(&json!({}))).await;
        assert!(put.status.is_success(), "{}", put.body);
        for ((bound, body), expected) in inside.chain(outside) {
            let body = session_with(body);
            let request = gateway.request(method.clone(), "/v1/sessions/s");
            let request = request.header("content-type", media_type);
            let response = gateway.send(request.body(body.to_string())).await;
            let is_valid = validator.is_valid(&body);
            let library_agrees = is_valid == (expected == 200) || bound.ends_with(DEPTH);
            if response.status != expected || !library_agrees {
                let errors = response.body["errors"].to_string();
                let body: String = body.to_string().chars().take(300).collect();
                faults.push(format!(
                    "{name} {bound}: {} {errors}, {is_valid}: {body}",
                    response.status
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
