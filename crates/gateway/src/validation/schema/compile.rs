//! Turns a published schema into a form that is fast to check.

use regex::Regex;
use serde_json::{Map, Value};

use super::{kinds::Kinds, sentence};

/// A schema that is ready to check values.
#[derive(Debug)]
pub(super) struct Node {
    /// The types that are accepted.
    pub(super) kinds: Kinds,
    /// What a value must be, in words.
    pub(super) must_be: String,
    /// The values that are accepted: `enum` or `const`.
    pub(super) words: Option<Vec<Value>>,
    /// The values that are refused: `not` with `enum`.
    pub(super) refused_words: Vec<Value>,
    pub(super) length: Bounds,
    pub(super) items_count: Bounds,
    pub(super) properties_count: Bounds,
    pub(super) pattern: Option<Regex>,
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) items: Option<Box<Node>>,
    pub(super) properties: Vec<(String, Node)>,
    pub(super) required: Vec<String>,
    pub(super) property_names: Option<Box<Node>>,
    pub(super) additional: Additional,
    /// The names of the properties, for the error of an unknown one.
    pub(super) known_fields: String,
    /// How deep an opaque value may be nested. `None` for other values.
    pub(super) depth_max: Option<usize>,
    /// The branches of `oneOf` or `anyOf`; branches of branches are in the same list. Empty if there is neither.
    pub(super) branches: Vec<Node>,
}

/// How many characters, elements or properties are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: usize,
    pub(super) most: usize,
}

/// Which properties are accepted besides the named ones.
#[derive(Debug)]
pub(super) enum Additional {
    Any,
    None,
    /// Only those that are null.
    Null,
    Schema(Box<Node>),
}

/// Keywords without a meaning for the check.
const ANNOTATIONS: [&str; 8] = [
    "title",
    "description",
    "default",
    "format",
    "x-allowed",
    "x-unit",
    "x-elements",
    "x-unused",
];

impl Node {
    /// Compiles a schema. The error names a keyword that is not known or has an unexpected value.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        let keywords = match schema {
            Value::Bool(true) => &Map::new(),
            Value::Object(keywords) => keywords,
            _ => return Err(format!("not a schema: {schema}")),
        };
        let mut node = Self {
            kinds: Kinds::ALL,
            must_be: sentence::must_be(schema),
            words: None,
            refused_words: Vec::new(),
            length: Bounds::of(keywords, "minLength", "maxLength"),
            items_count: Bounds::of(keywords, "minItems", "maxItems"),
            properties_count: Bounds::of(keywords, "minProperties", "maxProperties"),
            pattern: None,
            minimum: number(keywords, "minimum"),
            exclusive_minimum: number(keywords, "exclusiveMinimum"),
            maximum: number(keywords, "maximum"),
            items: None,
            properties: Vec::new(),
            required: Vec::new(),
            property_names: None,
            additional: Additional::Any,
            known_fields: String::new(),
            depth_max: None,
            branches: Vec::new(),
        };
        for (keyword, value) in keywords {
            node.add(keyword, value)
                .ok_or_else(|| format!("{keyword}: {value}"))??;
        }
        node.known_fields = sentence::known_fields(schema);
        Ok(node)
    }

    /// Adds a keyword. `None` if it is unknown or its value has an unexpected form. An error if a schema in its value has such a keyword.
    fn add(&mut self, keyword: &str, value: &Value) -> Option<Result<(), String>> {
        match keyword {
            "type" => self.kinds = self.kinds.both(kinds(value)?),
            "enum" => self.words = Some(value.as_array()?.clone()),
            "const" => self.words = Some(vec![value.clone()]),
            "not" => self.refused_words = value.get("enum")?.as_array()?.clone(),
            "pattern" => self.pattern = Some(Regex::new(value.as_str()?).ok()?),
            "items" => self.items = Some(boxed(value)?),
            "propertyNames" => self.property_names = Some(boxed(value)?),
            "required" => {
                let names = value.as_array()?.iter();
                self.required = names
                    .map(|name| name.as_str().map(str::to_owned))
                    .collect::<Option<_>>()?;
            }
            "properties" => {
                for (name, property) in value.as_object()? {
                    match Self::compile(property) {
                        Ok(property) => self.properties.push((name.clone(), property)),
                        Err(error) => return Some(Err(format!("{name}: {error}"))),
                    }
                }
            }
            "additionalProperties" => {
                self.additional = match value {
                    Value::Bool(true) => Additional::Any,
                    Value::Bool(false) => Additional::None,
                    _ => Additional::of(Self::compile(value).ok()?),
                };
            }
            "oneOf" | "anyOf" => {
                for branch in value.as_array()? {
                    match Self::compile(branch) {
                        Ok(branch) => self.add_branch(branch),
                        Err(error) => return Some(Err(format!("{keyword}: {error}"))),
                    }
                }
                let kinds = self.branches.iter().map(|branch| branch.kinds);
                self.kinds = self.kinds.both(kinds.reduce(Kinds::with)?);
            }
            "x-depth-max" => self.depth_max = usize::try_from(value.as_u64()?).ok(),
            // Read by `Bounds::of` and `number`.
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" => value.as_u64().map(|_| ())?,
            "minimum" | "exclusiveMinimum" | "maximum" => value.as_f64().map(|_| ())?,
            _ if ANNOTATIONS.contains(&keyword) => {}
            _ => return None,
        }
        Some(Ok(()))
    }

    fn add_branch(&mut self, mut branch: Self) {
        if branch.branches.is_empty() {
            self.branches.push(branch);
        } else {
            self.branches.append(&mut branch.branches);
        }
    }

    /// The word that the property `type` of a branch must have.
    pub(super) fn tag(&self) -> Option<&Value> {
        let (_, tag) = self.properties.iter().find(|(name, _)| name == "type")?;
        tag.words.as_deref()?.first()
    }
}

impl Additional {
    fn of(node: Node) -> Self {
        if node.kinds == Kinds::NULL {
            Self::Null
        } else {
            Self::Schema(Box::new(node))
        }
    }
}

impl Bounds {
    fn of(keywords: &Map<String, Value>, least: &str, most: &str) -> Self {
        let bound = |name| {
            let bound = keywords.get(name).and_then(Value::as_u64);
            bound.and_then(|bound| usize::try_from(bound).ok())
        };
        Self {
            least: bound(least).unwrap_or(0),
            most: bound(most).unwrap_or(usize::MAX),
        }
    }

    pub(super) const fn contains(self, count: usize) -> bool {
        self.least <= count && count <= self.most
    }
}

fn boxed(schema: &Value) -> Option<Box<Node>> {
    Node::compile(schema).ok().map(Box::new)
}

fn number(keywords: &Map<String, Value>, name: &str) -> Option<f64> {
    keywords.get(name)?.as_f64()
}

/// The types that the keyword `type` names.
fn kinds(value: &Value) -> Option<Kinds> {
    match value {
        Value::String(name) => Kinds::named(name),
        Value::Array(names) => {
            let kinds = names.iter().map(|name| Kinds::named(name.as_str()?));
            kinds
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .reduce(Kinds::with)
        }
        _ => None,
    }
}
