//! The README's table of settings lists the same variables and defaults as `--help`.

use std::{collections::BTreeMap, time::Duration};

use e2e::{process::run_to_exit, readme};

/// The variables and their defaults in the output of `--help`.
pub(super) fn defaults_in_help(help: &str) -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    let mut variable = None;
    for line in help.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("[env: ") {
            // If the variable is set on this machine, `=` and its value follow the name.
            let end = text.find(['=', ']']).expect("the bracket is closed");
            let name = text[..end].to_owned();
            defaults.insert(name.clone(), String::from("none"));
            variable = Some(name);
        } else if let Some(text) = line.strip_prefix("[default: ") {
            let name = variable.take().expect("a default follows its variable");
            defaults.insert(name, format!("`{}`", text.trim_end_matches(']')));
        }
    }
    defaults
}

/// The variables and their defaults in the README's table.
fn defaults_in_readme(readme: &str) -> BTreeMap<String, String> {
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, columns) = row.split_once("` | ")?;
        let (default, _) = columns.split_once(" | ")?;
        let is_variable = name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        is_variable.then(|| (name.to_owned(), default.to_owned()))
    })
    .collect()
}

#[tokio::test]
async fn the_table_lists_the_variables_and_defaults_of_the_program() {
    let help = run_to_exit(&["--help"], &[], Duration::from_secs(60)).await;
    let defaults = defaults_in_help(&help.stdout);
    assert!(
        defaults.len() >= 20,
        "only {} variables were found",
        defaults.len()
    );
    assert_eq!(defaults_in_readme(&readme::read()), defaults);
}
