//! What all scenarios of one execution of the program share: the options, the binary, the servers, and the document.

use std::path::PathBuf;

use crate::{
    installation::{Kind, Servers},
    options::RunOptions,
    process::{binary, subject::LOG_FILTER},
    report::{document::Document, machine, table::Table},
};

/// One execution of the program.
pub(crate) struct Context {
    pub(crate) run: RunOptions,
    pub(crate) binary: PathBuf,
    pub(crate) servers: Servers,
    document: Document,
}

impl Context {
    /// Builds the binary if none is given, starts RabbitMQ, and begins the document of this name.
    ///
    /// # Errors
    /// If the binary cannot be built or a server cannot be started.
    pub(crate) async fn new(run: RunOptions, name: &'static str) -> anyhow::Result<Self> {
        let binary = binary::forebay(run.binary.as_deref()).await?;
        let servers = Servers::default();
        let machine = machine::describe(&servers).await?;
        let introduction = format!(
            "# Measurements: {name}\n\n{machine}- {} runs; session ids: {:?}; FOREBAY_LOG={LOG_FILTER}, no OTEL_*\n",
            run.run_count(),
            run.sessions
        );
        let document = Document::new(&run.out, name, &introduction)?;
        Ok(Self {
            run,
            binary,
            servers,
            document,
        })
    }

    /// Prints and writes a complete table. With `--smoke`, each of its figures must be a number above 0.
    ///
    /// # Errors
    /// If a file cannot be written, or a figure is not above 0.
    pub(crate) fn add_table(&mut self, table: &Table) -> anyhow::Result<()> {
        self.document.add_table(table)?;
        if self.run.smoke {
            table.check_positive()?;
        }
        Ok(())
    }

    /// Writes a plot.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add_plot(&self, name: &str, svg: &str) -> anyhow::Result<()> {
        self.document.add_plot(name, svg)
    }

    /// Prints on standard error what is measured next, because a measurement takes minutes.
    pub(crate) fn announce(&self, scenario: &str, run: u32, kind: Option<Kind>) {
        let kind = kind.map_or_else(String::new, |kind| format!(", {kind}"));
        eprintln!(
            "measuring: {scenario}{kind}, run {run} of {}",
            self.run.run_count()
        );
    }
}
