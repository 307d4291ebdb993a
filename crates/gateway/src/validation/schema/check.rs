//! Checks a value against a compiled schema, and names each fault by its field and by what the field accepts.

use serde_json::{Map, Value};

use super::{
    super::{field_errors::FieldErrors, field_hints, field_path::FieldPath},
    compile::{Additional, Node},
    kinds::Kinds,
};

impl Node {
    /// Adds an error for each field that the schema refuses. Stops once there are as many errors as a response names.
    pub(super) fn check(&self, value: &Value, path: FieldPath<'_>, errors: &mut FieldErrors) {
        if errors.is_full() {
            return;
        }
        if !self.accepts_itself(value) {
            errors.add(path, &self.must_be);
            return;
        }
        if let Some(levels) = self.depth_max
            && is_nested_deeper(value, levels)
        {
            let error_message = format_args!("must be nested at most {levels} levels deep");
            errors.add(path, error_message);
            return;
        }
        match value {
            Value::Array(elements) => {
                if let Some(items) = &self.items {
                    for (index, element) in elements.iter().enumerate() {
                        items.check(element, path.index(index), errors);
                        if errors.is_full() {
                            return;
                        }
                    }
                }
            }
            Value::Object(fields) => self.check_fields(fields, path, errors),
            _ => {}
        }
        if !self.branches.is_empty() {
            self.check_branches(value, path, errors);
        }
    }

    /// Whether the value is accepted, apart from its elements and fields.
    fn accepts_itself(&self, value: &Value) -> bool {
        if !self.kinds.has_any_of(Kinds::of(value)) || self.refused_words.contains(value) {
            return false;
        }
        if self
            .words
            .as_ref()
            .is_some_and(|words| !words.contains(value))
        {
            return false;
        }
        match value {
            Value::String(text) => self.accepts_text(text),
            Value::Number(number) => number.as_f64().is_some_and(|number| {
                self.minimum.is_none_or(|minimum| number >= minimum)
                    && self
                        .exclusive_minimum
                        .is_none_or(|minimum| number > minimum)
                    && self.maximum.is_none_or(|maximum| number <= maximum)
            }),
            Value::Array(elements) => self.items_count.contains(elements.len()),
            Value::Object(fields) => self.properties_count.contains(fields.len()),
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn accepts_text(&self, text: &str) -> bool {
        // A string has at most as many characters as bytes, and at least a quarter as many. So the characters of most strings
        // are not counted.
        let (least, most) = (self.length.least, self.length.most);
        let is_short_enough = text.len() <= most || text.chars().count() <= most;
        let is_long_enough = text.len() / 4 >= least || text.chars().count() >= least;
        let pattern = self.pattern.as_ref();
        is_short_enough && is_long_enough && pattern.is_none_or(|pattern| pattern.is_match(text))
    }

    fn check_fields(
        &self,
        fields: &Map<String, Value>,
        path: FieldPath<'_>,
        errors: &mut FieldErrors,
    ) {
        for name in &self.required {
            if !fields.contains_key(name) {
                errors.add(path.key(name), "is required");
            }
        }
        for (name, value) in fields {
            if errors.is_full() {
                return;
            }
            if let Some(names) = &self.property_names
                && !names.accepts_itself(&Value::String(name.clone()))
            {
                let must_be = names.must_be.trim_start_matches("must be ");
                errors.add(
                    path.key(name),
                    format_args!("must have a key that is {must_be}"),
                );
            }
            match self.properties.iter().find(|(known, _)| known == name) {
                Some((_, property)) => property.check(value, path.key(name), errors),
                None => match &self.additional {
                    Additional::Any => {}
                    Additional::Null if value.is_null() => {}
                    Additional::Schema(schema) => schema.check(value, path.key(name), errors),
                    Additional::None | Additional::Null => self.refuse_unknown(name, path, errors),
                },
            }
        }
    }

    fn refuse_unknown(&self, name: &str, path: FieldPath<'_>, errors: &mut FieldErrors) {
        let known = &self.known_fields;
        let hint = field_hints::hint(name, known);
        // The hints are for the fields of a submit.
        let is_submit = self.properties.iter().any(|(name, _)| name == "input");
        match hint.filter(|_| is_submit && matches!(path, FieldPath::Root)) {
            Some(hint) => errors.add(path.key(name), hint),
            None => errors.add(
                path.key(name),
                format_args!("is an unknown field; the fields are {known}"),
            ),
        }
    }

    /// Checks the value against the branch that its type and its field `type` select.
    fn check_branches(&self, value: &Value, path: FieldPath<'_>, errors: &mut FieldErrors) {
        let kind = Kinds::of(value);
        let of_kind = || {
            let branches = self.branches.iter();
            branches.filter(move |branch| branch.kinds.has_any_of(kind))
        };
        let tag = value.get("type");
        let has_tags = value.is_object() && of_kind().any(|branch| branch.tag().is_some());
        if has_tags && of_kind().nth(1).is_some() {
            match of_kind().find(|branch| branch.tag() == tag && tag.is_some()) {
                Some(branch) => branch.check(value, path, errors),
                None if tag.is_none() => errors.add(path.key("type"), "is required"),
                None => {
                    let words = of_kind().filter_map(|branch| branch.tag()?.as_str());
                    let words: Vec<&str> = words.collect();
                    errors.add(
                        path.key("type"),
                        format_args!("must be one of {}", words.join(", ")),
                    );
                }
            }
            return;
        }
        let mut branches = of_kind();
        match (branches.next(), branches.next()) {
            // An object has fields, whose faults are named one by one.
            (Some(only), None) if value.is_object() => only.check(value, path, errors),
            _ => {
                let is_accepted = of_kind().any(|branch| {
                    let mut faults = FieldErrors::default();
                    branch.check(value, path, &mut faults);
                    faults.is_empty()
                });
                if !is_accepted {
                    errors.add(path, &self.must_be);
                }
            }
        }
    }
}

/// Returns whether a value has more than `levels` levels. The depth limit of the JSON parser bounds the recursion.
fn is_nested_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(elements) => {
            levels == 0
                || elements
                    .iter()
                    .any(|value| is_nested_deeper(value, levels - 1))
        }
        Value::Object(fields) => {
            levels == 0
                || fields
                    .values()
                    .any(|value| is_nested_deeper(value, levels - 1))
        }
        _ => false,
    }
}
