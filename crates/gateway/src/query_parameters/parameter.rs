//! The definition of a query parameter, by which its values are read or refused, and which the OpenAPI document publishes.

use axum::http::Method;
use serde_json::Value;

/// A query parameter.
pub(crate) struct QueryParameter<K> {
    pub(crate) name: &'static str,
    /// What it does, for the OpenAPI document.
    pub(crate) description: &'static str,
    /// Which values it accepts.
    pub(crate) kind: K,
}

/// Which values a parameter accepts.
pub(crate) trait ValueKind: Sync {
    /// What a text is read as.
    type Value;

    /// Reads a decoded text. `None` if the parameter does not accept it.
    fn read(&self, text: &str) -> Option<Self::Value>;

    /// What the parameter accepts, as the message of an error.
    fn allowed(&self) -> String;

    /// The JSON Schema of the values.
    fn schema(&self) -> Value;
}

/// A query parameter of any kind.
pub(crate) trait AnyParameter: Sync {
    fn name(&self) -> &'static str;
    fn description(&self) -> &'static str;
    fn schema(&self) -> Value;

    /// What the parameter accepts, if it does not accept this text. `None` is a text that cannot be decoded.
    fn refusal(&self, text: Option<&str>) -> Option<String>;
}

impl<K: ValueKind> AnyParameter for QueryParameter<K> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn schema(&self) -> Value {
        self.kind.schema()
    }

    fn refusal(&self, text: Option<&str>) -> Option<String> {
        match text.and_then(|text| self.kind.read(text)) {
            Some(_) => None,
            None => Some(self.kind.allowed()),
        }
    }
}

/// The parameters of a route.
pub(crate) type Parameters = &'static [&'static dyn AnyParameter];

/// Whether a method only reads. Then the query of its route may select what is shown.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
