//! What a value must be, in words, from the keywords of its schema.

use serde_json::Value;

/// A sentence without its subject, such as `must be a whole number from 1 to 10`.
pub(super) fn must_be(schema: &Value) -> String {
    let mut phrases: Vec<String> = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    add_phrases(schema, &mut phrases, &mut words);
    if !words.is_empty() {
        phrases.insert(0, format!("one of {}", words.join(", ")));
    }
    format!("must be {}", phrases.join(" or "))
}

/// Adds what a schema accepts: the values of `const` and `enum` to `words`, and all else to `phrases`.
fn add_phrases<'a>(schema: &'a Value, phrases: &mut Vec<String>, words: &mut Vec<&'a str>) {
    if let Some(allowed) = schema["x-allowed"].as_str() {
        phrases.push(allowed.to_owned());
        return;
    }
    if let Some(word) = schema["const"].as_str() {
        words.push(word);
        return;
    }
    if let Some(listed) = schema["enum"].as_array() {
        words.extend(listed.iter().filter_map(Value::as_str));
        return;
    }
    for keyword in ["oneOf", "anyOf"] {
        for branch in schema[keyword].as_array().into_iter().flatten() {
            add_phrases(branch, phrases, words);
        }
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    for kind in kinds {
        let phrase = match kind {
            "boolean" => String::from("true or false"),
            "integer" => number(schema, "a whole number"),
            "number" => number(schema, "a number"),
            "string" => text(schema),
            "array" => array(schema),
            "object" => match schema["maxProperties"].as_u64() {
                Some(most) => format!("an object of at most {most} keys"),
                None => String::from("an object"),
            },
            _ => continue,
        };
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    if phrases.is_empty() && words.is_empty() && has_length(schema) {
        phrases.push(text(schema));
    }
}

fn has_length(schema: &Value) -> bool {
    schema["minLength"].is_u64() || schema["maxLength"].is_u64()
}

fn number(schema: &Value, noun: &str) -> String {
    let unit = schema["x-unit"].as_str();
    let noun = unit.map_or_else(|| noun.to_owned(), |unit| format!("{noun} of {unit}"));
    let (over, least, most) = (
        &schema["exclusiveMinimum"],
        &schema["minimum"],
        &schema["maximum"],
    );
    match (over.is_number(), least.is_number(), most.is_number()) {
        (true, _, true) => format!("{noun} over {over} and at most {most}"),
        (_, true, true) => format!("{noun} from {least} to {most}"),
        (_, true, false) => format!("{noun} of at least {least}"),
        (_, false, true) => format!("{noun} of at most {most}"),
        _ => noun,
    }
}

fn text(schema: &Value) -> String {
    let least = schema["minLength"].as_u64().unwrap_or(0);
    match (least, schema["maxLength"].as_u64()) {
        (0, None) => String::from("a string"),
        (1, None) => String::from("a non-empty string"),
        (_, None) => format!("a string of at least {least} characters"),
        (0, Some(most)) => format!("a string of at most {most} characters"),
        (_, Some(most)) => format!("a string of {least} to {most} characters"),
    }
}

fn array(schema: &Value) -> String {
    let elements = schema["x-elements"].as_str().unwrap_or("elements");
    let least = schema["minItems"].as_u64().unwrap_or(0);
    match schema["maxItems"].as_u64() {
        None => String::from("an array"),
        Some(most) => format!("an array of {least} to {most} {elements}"),
    }
}

/// The names of the properties, apart from those that are accepted and not used.
pub(super) fn known_fields(schema: &Value) -> String {
    let properties = schema["properties"].as_object();
    let used = properties.into_iter().flatten();
    let used = used.filter(|(_, property)| property["x-unused"] != true);
    let names: Vec<&str> = used.map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}
