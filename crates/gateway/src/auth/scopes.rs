//! What an API key may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One permission of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Submit, cancel, retry and delete jobs; write, change and delete sessions.
    Submit,
    /// Read jobs, sessions and the tenant's own counts.
    Read,
    /// Read the providers and the counts of all tenants; make, list and revoke API keys; show and set the limits of tenants.
    Admin,
}

impl Scope {
    pub(crate) const ALL: [Self; 3] = [Self::Submit, Self::Read, Self::Admin];

    /// The name of the scope in the keys file and in `WWW-Authenticate`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The permissions of a key. No scope includes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    /// The scopes of a key for which none are given: submit and read.
    pub(super) const DEFAULT: Self = Self(Scope::Submit.bit() | Scope::Read.bit());
    /// All scopes.
    pub(super) const ALL: Self = Self(Scope::Submit.bit() | Scope::Read.bit() | Scope::Admin.bit());

    /// Parses names, separated by commas. `None` if one of them is no scope.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bits = 0;
        for name in text.split(',') {
            let known = Scope::ALL.into_iter();
            let scope = known
                .into_iter()
                .find(|scope| scope.as_str() == name.trim())?;
            bits |= scope.bit();
        }
        Some(Self(bits))
    }

    /// The scopes of these names. A name that this release does not know adds none.
    pub(super) fn of_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let known = |name| Scope::ALL.into_iter().find(|scope| scope.as_str() == name);
        Self(
            names
                .filter_map(known)
                .fold(0, |bits, scope| bits | scope.bit()),
        )
    }

    /// Whether the scope is one of these.
    pub(crate) const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};

    #[test]
    fn scopes_are_parsed_and_none_includes_another() {
        let admin = Scopes::parse("admin").expect("a scope");
        assert!(admin.has(Scope::Admin) && !admin.has(Scope::Read) && !admin.has(Scope::Submit));
        assert_eq!(Scopes::parse("read, submit"), Some(Scopes::DEFAULT));
        assert_eq!(Scopes::parse("submit,read,admin"), Some(Scopes::ALL));
        let of_names = Scopes::of_names(["read", "of a newer release", "submit"].into_iter());
        assert_eq!(of_names, Scopes::DEFAULT);
        for text in ["", "Read", "read,", "read;submit", "write"] {
            assert_eq!(Scopes::parse(text), None, "{text}");
        }
    }
}
