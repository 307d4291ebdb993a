//! Searches the files of a folder.

use std::{fs, path::Path};

/// The files in a folder and its subfolders that contain this text.
///
/// # Panics
/// If a folder cannot be read. A file that is deleted meanwhile does not count.
#[must_use]
pub fn with_text(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("the folder can be read");
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => {
                    let bytes = fs::read(&path).unwrap_or_default();
                    let mut windows = bytes.windows(text.len());
                    if windows.any(|window| window == text.as_bytes()) {
                        found.push(path.display().to_string());
                    }
                }
                _ => {}
            }
        }
    }
    found
}
