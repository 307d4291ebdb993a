//! Finds the servers' binaries: the file that an environment variable names, or an installed binary.
//!
//! `tests/run` installs them.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// The binary that the environment variable names, or else the first of `candidates` that exists. A candidate
/// is a path, or a name that is looked up in `PATH`.
///
/// # Errors
/// If there is no such binary, or the variable names a file that does not exist.
pub(crate) fn find(variable: &str, candidates: &[&str]) -> anyhow::Result<PathBuf> {
    let path_in_variable = std::env::var_os(variable).map(PathBuf::from);
    let folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map_or_else(Vec::new, |path| std::env::split_paths(&path).collect());
    choose(variable, path_in_variable.as_deref(), candidates, &folders)
}

fn choose(
    variable: &str,
    path_in_variable: Option<&Path>,
    candidates: &[&str],
    folders: &[PathBuf],
) -> anyhow::Result<PathBuf> {
    if let Some(path) = path_in_variable {
        if path.is_file() {
            return Ok(path.to_owned());
        }
        bail!("{variable} names {}, which is not a file", path.display());
    }
    let found = candidates.iter().find_map(|candidate| {
        if candidate.contains('/') {
            return Some(PathBuf::from(candidate)).filter(|path| path.is_file());
        }
        folders
            .iter()
            .map(|folder| folder.join(candidate))
            .find(|path| path.is_file())
    });
    if let Some(path) = found {
        return Ok(path);
    }
    bail!(
        "this test needs {}, which is not installed: run the tests with `tests/run`, which installs it, or set \
         {variable} to the path of the binary",
        candidates.join(" or ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_missing_binary_names_the_command_that_installs_it() {
        let error = choose(
            "FOREBAY_TEST_X",
            None,
            &["no-such-server"],
            &["/bin".into()],
        );
        let message = error.expect_err("there is no such server").to_string();
        for part in ["no-such-server", "tests/run", "FOREBAY_TEST_X"] {
            assert!(
                message.contains(part),
                "the message does not contain {part}: {message}"
            );
        }
    }

    #[test]
    fn the_variable_takes_precedence_and_must_name_a_file() {
        let shell = Path::new("/bin/sh");
        let found = choose("V", Some(shell), &["ls"], &["/bin".into()]);
        assert_eq!(found.expect("a shell is there"), shell);
        let missing = choose(
            "V",
            Some(Path::new("/no/server")),
            &["sh"],
            &["/bin".into()],
        );
        assert!(missing.is_err());
    }

    #[test]
    fn candidates_without_a_slash_are_looked_up_in_path() {
        let folders = ["/no-folder".into(), "/bin".into()];
        let found = choose("V", None, &["/no/sh", "sh"], &folders);
        assert_eq!(found.expect("a shell is there"), Path::new("/bin/sh"));
    }
}
