//! Moves the opaque values out of a valid body: those whose schema has only a bound on their depth.

use serde_json::Value;

use super::{super::submit_body::OpaqueValues, compile::Node};

impl Node {
    /// Moves out the opaque values in a value that this schema accepts.
    pub(super) fn move_opaque(&self, value: &mut Value, values: &mut OpaqueValues) {
        if self.depth_max.is_some() {
            values.move_out(value);
            return;
        }
        if let Some(branch) = self.branch_of(value) {
            branch.move_opaque(value, values);
        }
        match value {
            Value::Array(elements) => {
                if let Some(items) = &self.items {
                    for element in elements {
                        items.move_opaque(element, values);
                    }
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let Some((_, property)) =
                        self.properties.iter().find(|(known, _)| known == name)
                    {
                        property.move_opaque(field, values);
                    }
                }
            }
            _ => {}
        }
    }

    /// The branch for an object: the one that its field `type` selects, or else the first one with properties.
    fn branch_of(&self, value: &Value) -> Option<&Self> {
        let fields = value.as_object()?;
        let tag = fields.get("type");
        let of_tag = self
            .branches
            .iter()
            .find(|branch| branch.tag().is_some() && branch.tag() == tag);
        of_tag.or_else(|| {
            self.branches
                .iter()
                .find(|branch| !branch.properties.is_empty())
        })
    }
}
