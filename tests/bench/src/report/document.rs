//! Everything that one execution of the program measures: its tables, printed as soon as they are complete, and its plots.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::table::Table;

/// The tables and plots of one execution, in a folder.
#[derive(Debug)]
pub(crate) struct Document {
    folder: PathBuf,
    name: &'static str,
    text: String,
}

impl Document {
    /// A document that begins with `introduction`. Its text is in the file `<name>.md` of the folder.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub(crate) fn new(
        folder: &Path,
        name: &'static str,
        introduction: &str,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        println!("{introduction}");
        Ok(Self {
            folder: folder.to_owned(),
            name,
            text: introduction.to_owned(),
        })
    }

    /// Prints a table, and writes it at the end of the document's file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add_table(&mut self, table: &Table) -> anyhow::Result<()> {
        println!("{table}");
        self.text += &format!("\n{table}");
        self.write(&format!("{}.md", self.name), &self.text)
    }

    /// Writes a plot into a file of its own.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add_plot(&self, name: &str, svg: &str) -> anyhow::Result<()> {
        self.write(&format!("{name}.svg"), svg)
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}
