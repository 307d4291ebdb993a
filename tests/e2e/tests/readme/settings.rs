//! The settings table says what `--help` says: every variable, and its default.

use std::{collections::BTreeMap, time::Duration};

use e2e::{process::run_to_exit, readme};

/// Variables and their defaults, as `--help` tells them.
fn told(help: &str) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    let mut variable = None;
    for line in help.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("[env: ") {
            // Behind the name stands its value, where it has one here.
            let end = rest.find(['=', ']']).expect("the bracket is closed");
            let name = rest[..end].to_owned();
            told.insert(name.clone(), String::from("none"));
            variable = Some(name);
        } else if let Some(rest) = line.strip_prefix("[default: ") {
            let name = variable.take().expect("a default follows its variable");
            told.insert(name, format!("`{}`", rest.trim_end_matches(']')));
        }
    }
    told
}

/// Variables and their defaults, as the README's table tells them.
fn printed(readme: &str) -> BTreeMap<String, String> {
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        let (default, _) = rest.split_once(" | ")?;
        let is_variable = name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        is_variable.then(|| (name.to_owned(), default.to_owned()))
    })
    .collect()
}

#[tokio::test]
async fn are_those_of_the_program() {
    let help = run_to_exit(&["--help"], &[], Duration::from_secs(60)).await;
    let told = told(&help.stdout);
    assert!(told.len() >= 20, "only {} variables were found", told.len());
    assert_eq!(printed(&readme::read()), told);
}
