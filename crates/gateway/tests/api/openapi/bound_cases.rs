//! Bodies just inside and just outside each bound of a published schema, with the field that each bound is about.

use serde_json::{Map, Value, json};

use super::samples::{refused_types, sample};

/// The keyword for the depth of a value.
const DEPTH: &str = "x-depth-max";

/// A field that no object has.
const UNKNOWN: &str = "no_such_field";
/// Stands for any key of a map.
const ANY_KEY: &str = "*";

/// Makes the body that has this value at one node of the schema.
type Put<'a> = &'a dyn Fn(Value) -> Value;

/// Makes a value of this size.
type OfSize<'a> = &'a dyn Fn(usize) -> Value;

/// A field of a body.
#[derive(Clone, Default)]
pub(super) struct Field {
    /// Its name in errors, such as `requests.quota`. Empty for the body itself.
    pub(super) name: String,
    /// The name of the outermost enclosing field that accepts values of several forms, if there is one. An error may name that field
    /// instead, because no form accepts the value.
    of_several_forms: Option<String>,
    /// The path of the field in the schema, for messages.
    path: String,
}

impl Field {
    fn key(&self, name: &str) -> Self {
        let parent = &self.name;
        Self {
            name: match parent.as_str() {
                "" => name.to_owned(),
                _ => format!("{parent}.{name}"),
            },
            path: format!("{}/{name}", self.path),
            ..self.clone()
        }
    }

    fn element(&self) -> Self {
        Self {
            name: format!("{}[0]", self.name),
            path: format!("{}/items", self.path),
            ..self.clone()
        }
    }

    /// The same field, in one of its forms.
    fn form(&self, keyword: &str, index: usize) -> Self {
        let outermost = self.of_several_forms.as_ref();
        Self {
            of_several_forms: Some(outermost.unwrap_or(&self.name).clone()),
            path: format!("{}/{keyword}/{index}", self.path),
            ..self.clone()
        }
    }

    /// Whether an error that names `error_field` is about this field.
    pub(super) fn is_named_by(&self, error_field: &str) -> bool {
        let is_form = |outermost: &String| {
            error_field.starts_with(outermost) && self.name.starts_with(error_field)
        };
        // In a map, the error names the refused key.
        let is_key = |map: &str| error_field.starts_with(map);
        error_field == self.name
            || self.of_several_forms.as_ref().is_some_and(is_form)
            || self.name.strip_suffix(ANY_KEY).is_some_and(is_key)
    }
}

/// A body for one bound.
pub(super) struct BoundCase {
    /// The field that has the bound.
    pub(super) field: Field,
    keyword: String,
    pub(super) body: Value,
}

impl BoundCase {
    /// The bound, for messages.
    pub(super) fn bound(&self) -> String {
        format!("{} {}", self.field.path, self.keyword)
    }

    /// Whether JSON Schema has no keyword for this bound.
    pub(super) fn is_unknown_to_json_schema(&self) -> bool {
        self.keyword == DEPTH
    }
}

/// Bodies for all bounds of a schema.
#[derive(Default)]
pub(super) struct BoundCases {
    /// Bodies that the schema accepts.
    pub(super) inside: Vec<BoundCase>,
    /// Bodies that the schema refuses because of one field.
    pub(super) outside: Vec<BoundCase>,
}

impl BoundCases {
    /// The bodies for the schema of an object.
    pub(super) fn of(schema: &Value) -> Self {
        let mut cases = Self::default();
        cases.add_fields(schema, &Field::default(), &|value| value);
        cases
    }

    fn inside(&mut self, field: &Field, keyword: &str, body: Value) {
        self.inside.push(BoundCase {
            field: field.clone(),
            keyword: keyword.to_owned(),
            body,
        });
    }

    fn outside(&mut self, field: &Field, keyword: &str, body: Value) {
        self.outside.push(BoundCase {
            field: field.clone(),
            keyword: keyword.to_owned(),
            body,
        });
    }

    /// Adds bodies for the bounds of a schema and of all schemas in it. `is_form` is set for a schema of a `oneOf` or `anyOf`,
    /// where a value of another type may be accepted.
    fn add(&mut self, schema: &Value, field: &Field, is_form: bool, put: Put<'_>) {
        self.inside(field, "", put(sample(schema)));
        if !is_form {
            for value in refused_types(schema) {
                self.outside(field, "type", put(value));
            }
        }
        if let Some(levels) = schema[DEPTH].as_u64() {
            self.inside(field, DEPTH, put(nested(levels)));
            self.outside(field, DEPTH, put(nested(levels + 1)));
        }
        self.add_words(schema, field, put);
        self.add_numbers(schema, field, put);
        self.add_sizes(schema, field, put);
        self.add_fields(schema, field, put);
        for keyword in ["oneOf", "anyOf"] {
            let forms = schema[keyword].as_array().into_iter().flatten();
            for (index, form) in forms.enumerate() {
                let is_form = true;
                self.add(form, &field.form(keyword, index), is_form, put);
            }
        }
        if let Some(items) = schema.get("items") {
            let is_form = false;
            self.add(items, &field.element(), is_form, &|value| {
                put(json!([value]))
            });
        }
    }

    fn add_words(&mut self, schema: &Value, field: &Field, put: Put<'_>) {
        let words = schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(schema.get("const"));
        let mut has_words = false;
        for word in words.filter(|word| !word.is_null()) {
            has_words = true;
            self.inside(field, &word.to_string(), put(word.clone()));
        }
        if has_words {
            self.outside(field, "words", put(json!("no-such-word")));
        }
        for word in schema["not"]["enum"].as_array().into_iter().flatten() {
            self.outside(field, &format!("not {word}"), put(word.clone()));
        }
        if schema.get("pattern").is_some() {
            self.outside(field, "pattern", put(json!("\u{1}")));
        }
    }

    fn add_numbers(&mut self, schema: &Value, field: &Field, put: Put<'_>) {
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
                self.inside(field, keyword, put(bound.clone()));
                self.outside(field, keyword, put(beside(bound, sign)));
            }
        }
        if let Some(bound) = schema.get("exclusiveMinimum") {
            self.inside(field, "exclusiveMinimum", put(beside(bound, 1.0)));
            self.outside(field, "exclusiveMinimum", put(bound.clone()));
        }
    }

    fn add_sizes(&mut self, schema: &Value, field: &Field, put: Put<'_>) {
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
                self.inside(field, least, put(value_of(least_count)));
                self.outside(field, least, put(value_of(least_count - 1)));
            }
            if let Some(most_count) = bound(most) {
                self.inside(field, most, put(value_of(most_count)));
                self.outside(field, most, put(value_of(most_count + 1)));
            }
        }
    }

    fn add_fields(&mut self, schema: &Value, field: &Field, put: Put<'_>) {
        let is_form = false;
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
            self.outside(&field.key(name), "required", put(Value::Object(fields)));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let put = |value| put_field(name, value);
            self.add(property, &field.key(name), is_form, &put);
        }
        match schema.get("additionalProperties") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                let unknown = field.key(UNKNOWN);
                for value in [json!(1), json!(null)] {
                    self.outside(&unknown, "additionalProperties", put_field(UNKNOWN, value));
                }
            }
            Some(additional) => {
                let put = |value| put_field(UNKNOWN, value);
                self.add(additional, &field.key(UNKNOWN), is_form, &put);
            }
        }
        if let Some(names) = schema.get("propertyNames") {
            let put = |name: Value| put_field(name.as_str().unwrap_or_default(), json!("v"));
            self.add_sizes(names, &field.key(ANY_KEY), &put);
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
