//! Reads parts of the README, for the tests that run and compare them.

use std::{fs, path::PathBuf};

/// The path of the README.
#[must_use]
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md")
}

/// The text of the README.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn read() -> String {
    fs::read_to_string(path()).expect("the README can be read")
}

/// The fenced block after the comment `<!-- name -->`, without its fences.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn block(readme: &str, name: &str) -> String {
    let marker = format!("<!-- {name} -->\n```");
    let (_, rest) = readme
        .split_once(&marker)
        .unwrap_or_else(|| panic!("the README has no block {name}"));
    let (_, rest) = rest.split_once('\n').expect("a fence ends its line");
    let (block, _) = rest.split_once("\n```").expect("a fence is closed");
    block.to_owned()
}

/// The part from the comment `<!-- name -->` to the next heading.
///
/// # Panics
/// If there is no such comment.
#[must_use]
pub fn part<'a>(readme: &'a str, name: &str) -> &'a str {
    let (_, rest) = readme
        .split_once(&format!("<!-- {name} -->\n"))
        .unwrap_or_else(|| panic!("the README has no part {name}"));
    rest.split_once("\n## ").map_or(rest, |(part, _)| part)
}
