//! Reads parts of the README. Tests run these parts, or compare them with what the program prints.

use std::{fs, path::PathBuf};

/// The path of the README.
#[must_use]
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md")
}

/// The text of the README.
///
/// # Panics
/// If the README cannot be read.
#[must_use]
pub fn read() -> String {
    fs::read_to_string(path()).expect("the README can be read")
}

/// The fenced block after the comment `<!-- name -->`, without its fences.
///
/// # Panics
/// If the README has no such block.
#[must_use]
pub fn block(readme: &str, name: &str) -> String {
    let marker = format!("<!-- {name} -->\n```");
    let (_, after_marker) = readme
        .split_once(&marker)
        .unwrap_or_else(|| panic!("the README has no block {name}"));
    let (_, after_fence) = after_marker
        .split_once('\n')
        .expect("the fence ends with its line");
    let (block, _) = after_fence
        .split_once("\n```")
        .expect("the block has a closing fence");
    block.to_owned()
}

/// The part from the comment `<!-- name -->` to the next heading of level 2.
///
/// # Panics
/// If the README has no such comment.
#[must_use]
pub fn part<'a>(readme: &'a str, name: &str) -> &'a str {
    let (_, after_marker) = readme
        .split_once(&format!("<!-- {name} -->\n"))
        .unwrap_or_else(|| panic!("the README has no part {name}"));
    after_marker
        .split_once("\n## ")
        .map_or(after_marker, |(part, _)| part)
}
