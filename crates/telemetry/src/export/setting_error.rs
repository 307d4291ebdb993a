//! The error of a variable that cannot be used.

/// A variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {allowed}")]
pub struct SettingError {
    /// The name of the variable.
    pub variable: String,
    /// What it must be. Its value is not shown, because it may be a secret.
    pub allowed: &'static str,
}

impl SettingError {
    pub(super) fn new(variable: &str, allowed: &'static str) -> Self {
        Self {
            variable: variable.to_owned(),
            allowed,
        }
    }
}
