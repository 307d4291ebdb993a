//! The API keys of a file, read again when the file changes.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{api_keys::ApiKeys, caller::Caller, keys_file};

/// How often the file is read. A removed key is refused at most this long after the change, and the time of one read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// The most bytes of the file.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why a file of API keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeysFileError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Unreadable(#[from] io::Error),
    /// The file is too large, or a line is wrong. The text names the line and what is allowed, and contains no key.
    #[error("{0}")]
    Invalid(String),
}

/// The API keys of a file.
pub struct ApiKeysFile {
    path: PathBuf,
    keys: RwLock<Arc<ApiKeys>>,
    /// The hash of the text with these keys.
    text_hash: Mutex<[u8; 32]>,
}

impl ApiKeysFile {
    /// Reads a file: `tenant:key` or `tenant:key:scope,scope` in each line. A key is 32 to 512 characters long, a scope `submit`,
    /// `read` or `admin`. Without scopes, a key may submit and read.
    ///
    /// # Errors
    /// [`ApiKeysFileError`] if the file cannot be read, has more than 8 MiB or 10,000 keys, has no key, or has a wrong line.
    pub fn open(path: &Path) -> Result<Self, ApiKeysFileError> {
        let text = read(path)?;
        let keys = keys_file::parse(&text).map_err(ApiKeysFileError::Invalid)?;
        Ok(Self {
            path: path.to_owned(),
            keys: RwLock::new(Arc::new(keys)),
            text_hash: Mutex::new(hash(&text)),
        })
    }

    /// The caller with this key.
    pub(super) fn find(&self, key: &str) -> Option<Caller> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.find(key).cloned()
    }

    /// Reads the file every two seconds, for as long as the future is polled. While the file is wrong, the earlier keys stay valid.
    pub(crate) async fn read_changes(self: Arc<Self>) {
        let mut last_error = None;
        loop {
            tokio::time::sleep(READ_EVERY).await;
            let file = Arc::clone(&self);
            let read = tokio::task::spawn_blocking(move || file.read_again()).await;
            let error = match read {
                Ok(Ok(None)) => {
                    last_error = None;
                    continue;
                }
                Ok(Ok(Some(count))) => {
                    tracing::info!(path = %self.path.display(), keys = count, "API keys read again");
                    last_error = None;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if last_error.as_ref() != Some(&error) {
                tracing::error!(
                    path = %self.path.display(),
                    %error,
                    "the changed file of API keys cannot be used: the earlier keys stay valid"
                );
            }
            last_error = Some(error);
        }
    }

    /// Reads the file. Returns the number of its keys if it has changed.
    fn read_again(&self) -> Result<Option<usize>, ApiKeysFileError> {
        let text = read(&self.path)?;
        let new_hash = hash(&text);
        let mut text_hash = self
            .text_hash
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *text_hash == new_hash {
            return Ok(None);
        }
        let keys = keys_file::parse(&text).map_err(ApiKeysFileError::Invalid)?;
        *text_hash = new_hash;
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(Some(count))
    }
}

impl fmt::Debug for ApiKeysFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKeysFile").field(&self.path).finish()
    }
}

fn read(path: &Path) -> Result<String, ApiKeysFileError> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let error = format!("has more than {FILE_BYTES_MAX} bytes");
        return Err(ApiKeysFileError::Invalid(error));
    }
    String::from_utf8(bytes)
        .map_err(|_| ApiKeysFileError::Invalid(String::from("must be text in UTF-8")))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::ApiKeysFile;

    const FIRST: &str = "11111111111111111111111111111111";
    const SECOND: &str = "22222222222222222222222222222222";

    #[test]
    fn a_changed_file_replaces_the_keys_and_a_wrong_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let write = |text: &str| fs::write(&path, text).expect("the file is written");
        write(&format!("a:{FIRST}"));
        let file = ApiKeysFile::open(&path).expect("the file is valid");
        assert_eq!(file.read_again().expect("the file is valid"), None);

        write(&format!("a:{SECOND}\nb:{FIRST}"));
        assert_eq!(file.read_again().expect("the file is valid"), Some(2));
        let tenant_of = |key| file.find(key).map(|caller| caller.tenant().to_string());
        assert_eq!(tenant_of(FIRST).as_deref(), Some("b"));
        assert_eq!(tenant_of(SECOND).as_deref(), Some("a"));

        for wrong in ["", "# all gone", "a:short"] {
            write(wrong);
            assert!(file.read_again().is_err(), "{wrong}");
            assert!(file.read_again().is_err(), "{wrong}, read again");
        }
        fs::remove_file(&path).expect("the file is deleted");
        assert!(file.read_again().is_err());
        assert_eq!(tenant_of(FIRST).as_deref(), Some("b"));

        write(&format!("a:{SECOND}"));
        assert_eq!(file.read_again().expect("the file is valid"), Some(1));
        assert_eq!(tenant_of(FIRST), None);
    }
}
