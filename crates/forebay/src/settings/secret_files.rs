//! Secrets in files: `NAME_FILE` names a file with the value of the variable `NAME`, as with Docker's and Kubernetes's secrets.

use std::{ffi::OsString, fs::File, io::Read, path::Path};

use anyhow::{Context, ensure};
use forebay_shared::secret::Secret;

use super::Settings;

/// The most bytes of a file with a secret.
const FILE_BYTES_MAX: u64 = 64 * 1024;

impl Settings {
    /// Reads the secrets whose files the environment names.
    ///
    /// # Errors
    /// If a file cannot be read or is empty, or if a secret is set in both ways. The error names the variable and no secret.
    pub(crate) fn read_secret_files(&mut self) -> anyhow::Result<()> {
        for (name, value) in [
            ("AMQP_URL", &mut self.amqp_url),
            ("REDIS_URL", &mut self.redis_url),
            ("OPENAI_API_KEY", &mut self.openai_api_key),
            ("GEMINI_API_KEY", &mut self.gemini_api_key),
        ] {
            let is_set = value.as_ref().is_some_and(|value| !value.is_empty());
            if let Some(of_file) = secret_of_file(name, is_set)? {
                *value = Some(of_file);
            }
        }
        Ok(())
    }
}

/// The value of a variable that holds a secret, from the environment or from its file.
///
/// # Errors
/// The errors of [`Settings::read_secret_files`].
pub(crate) fn secret_variable(name: &str) -> anyhow::Result<Option<String>> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_file = secret_of_file(name, value.is_some())?;
    Ok(of_file.map(|secret| secret.expose().to_owned()).or(value))
}

/// The secret in the file that the variable `NAME_FILE` names. `None` if this variable is not set. `is_set` tells whether `NAME` itself
/// is set.
fn secret_of_file(name: &str, is_set: bool) -> anyhow::Result<Option<Secret>> {
    let variable = format!("{name}_FILE");
    match std::env::var_os(&variable).filter(|path| !path.is_empty()) {
        None => Ok(None),
        Some(path) => {
            ensure!(
                !is_set,
                "{name} and {variable} exclude each other; unset one of them"
            );
            let context = || format!("{variable} {}", Path::new(&path).display());
            read(&path).with_context(context).map(Some)
        }
    }
}

fn read(path: &OsString) -> anyhow::Result<Secret> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text)?;
    ensure!(
        text.len() as u64 <= FILE_BYTES_MAX,
        "has more than {FILE_BYTES_MAX} bytes"
    );
    let secret = Secret::new(&text);
    ensure!(!secret.is_empty(), "is empty");
    Ok(secret)
}
