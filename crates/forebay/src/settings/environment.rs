//! Environment variables that set nothing: empty ones, which count as unset, and those with a name that no setting has.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
};

use clap::Command;

/// The start of the names of Forebay's own variables.
const PREFIX: &str = "FOREBAY_";
/// The start of the names that tests use.
const TEST_PREFIX: &str = "FOREBAY_TEST_";
/// Variables of Forebay's clients.
const OF_CLIENTS: [&str; 3] = ["FOREBAY_URL", "FOREBAY_ADMIN_KEY", "FOREBAY_ADMIN_KEY_FILE"];
/// Two names that differ in more characters are not similar. The limit is lower for short names.
const CHANGES_MAX: usize = 5;

/// A variable whose name no setting has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownVariable {
    pub(crate) name: String,
    /// The setting with the most similar name, if one is similar.
    pub(crate) similar: Option<String>,
}

/// The command, with each empty variable treated as unset. Compose files set empty variables: `X=${X:-}`.
pub(super) fn ignore_empty(command: Command) -> Command {
    command.mut_args(|arg| {
        let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
        if arg.get_env().is_some_and(is_empty) {
            arg.env(None)
        } else {
            arg
        }
    })
}

/// The names of the variables that are settings.
pub(super) fn names(command: &Command) -> BTreeSet<String> {
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// The variables whose names begin like those of settings, and that are no settings. An empty variable counts as unset.
pub(super) fn unknown(
    known: &BTreeSet<String>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<UnknownVariable> {
    let is_unknown = |name: &str, value: &OsStr| {
        !value.is_empty()
            && name.starts_with(PREFIX)
            && !name.starts_with(TEST_PREFIX)
            && !known.contains(name)
            && !OF_CLIENTS.contains(&name)
            && !is_service_of_kubernetes(name, value)
    };
    let mut unknown: Vec<_> = variables
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            is_unknown(&name, &value).then(|| UnknownVariable {
                similar: most_similar(&name, known),
                name,
            })
        })
        .collect();
    unknown.sort_by(|a, b| a.name.cmp(&b.name));
    unknown
}

/// Whether Kubernetes sets this variable for a service whose name begins with `forebay`.
fn is_service_of_kubernetes(name: &str, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let is_url = value.starts_with("tcp://") || value.starts_with("udp://");
    let is_of_port = ["_TCP", "_UDP", "_PROTO", "_PORT", "_ADDR"]
        .iter()
        .any(|end| name.ends_with(end))
        && name.contains("_PORT_");
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || is_of_port
        || (name.ends_with("_PORT") && is_url)
}

fn most_similar(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let key = |text: &str| text.trim_start_matches(PREFIX).to_owned();
    let own = key(name);
    let changes_max = CHANGES_MAX.min(own.len() / 2);
    let similar = known.iter().filter_map(|other| {
        let changes = strsim::damerau_levenshtein(&own, &key(other));
        (changes <= changes_max).then_some((changes, other))
    });
    similar.min().map(|(_, other)| other.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<String> {
        ["FOREBAY_CONCURRENCY", "FOREBAY_LOG", "FOREBAY_MODEL"]
            .map(String::from)
            .into()
    }

    fn unknown_of(name: &str, value: &str) -> Vec<UnknownVariable> {
        unknown(&known(), [(name.into(), value.into())].into_iter())
    }

    #[test]
    fn an_unknown_variable_has_the_setting_with_the_most_similar_name() {
        for (name, similar) in [
            ("FOREBAY_CONCURENCY", Some("FOREBAY_CONCURRENCY")),
            ("FOREBAY_MODLE", Some("FOREBAY_MODEL")),
            ("FOREBAY_LOGS", Some("FOREBAY_LOG")),
            ("FOREBAY_SOMETHING_ELSE", None),
        ] {
            let expected = UnknownVariable {
                name: String::from(name),
                similar: similar.map(String::from),
            };
            assert_eq!(unknown_of(name, "x"), [expected]);
        }
    }

    #[test]
    fn settings_and_variables_of_others_are_not_unknown() {
        for (name, value) in [
            ("FOREBAY_LOG", "x"),
            ("FOREBAY_TEST_ANYTHING", "1"),
            ("FOREBAY_URL", "http://127.0.0.1:8080"),
            ("FOREBAY_SERVICE_HOST", "10.0.0.1"),
            ("FOREBAY_SERVICE_PORT_HTTP", "8080"),
            ("FOREBAY_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
            ("FOREBAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("FOREBAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("PATH", "x"),
            ("FOREBAY_X", ""),
        ] {
            assert_eq!(unknown_of(name, value), [], "{name}");
        }
        assert_eq!(unknown_of("FOREBAY_PORT", "8080").len(), 1);
    }
}
