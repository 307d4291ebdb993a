//! `.env.example` names the same settings as `--help`, with the same defaults, and docker-compose.yml passes all of them on.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use e2e::process::run_to_exit;

use super::settings::defaults_in_help;

/// Settings that docker-compose.yml and the image set themselves.
const FIXED: [&str; 4] = [
    "FOREBAY_LISTEN",
    "FOREBAY_INSECURE_NO_AUTH",
    "FOREBAY_DATA_DIR",
    "FOREBAY_ADMIN_LISTEN",
];

fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The variables of a file in the form of `.env`, with their values. A line may be commented out.
fn variables(text: &str) -> BTreeMap<String, String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .filter(|(name, _)| is_name(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whether a Compose file uses the variable: in a value, or as a name that is passed on.
fn uses(compose: &str, name: &str) -> bool {
    let is_in_value = [":", "}", "-"]
        .iter()
        .any(|end| compose.contains(&format!("${{{name}{end}")));
    is_in_value
        || compose
            .lines()
            .any(|line| line.trim() == format!("{name}:"))
}

#[tokio::test]
async fn each_setting_is_in_env_example_with_its_default() {
    let help = run_to_exit(&["--help"], &[], Duration::from_secs(60)).await;
    let variables = variables(&read(".env.example"));
    for (name, default) in defaults_in_help(&help.stdout) {
        let value = variables.get(&name);
        let expected = match default.as_str() {
            "none" => "",
            default => default.trim_matches('`'),
        };
        assert_eq!(value.map(String::as_str), Some(expected), "{name}");
    }
}

#[test]
fn each_variable_of_env_example_is_used_by_the_compose_file() {
    let mut compose = read("docker-compose.yml");
    for file in [
        "model.env",
        "model-openai.env",
        "access.env",
        "access-keys.env",
    ] {
        compose.push_str(&read(&format!("deploy/compose/{file}")));
    }
    let variables = variables(&read(".env.example"));
    assert!(variables.len() >= 40, "only {} found", variables.len());
    for name in variables.keys() {
        let is_fixed = FIXED.contains(&name.as_str());
        assert!(is_fixed || uses(&compose, name), "{name} has no effect");
    }
}
