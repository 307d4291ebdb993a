//! A table in Markdown.

use std::fmt;

use anyhow::ensure;

use super::figure::{Figure, Figures};

/// A table: a row for each figure, and a column for each thing that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<(String, Figures)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            columns: Vec::new(),
        }
    }

    /// Adds the values of one run to a column. A new column is the last one.
    pub(crate) fn add(&mut self, column: &str, values: Vec<(String, f64)>) {
        match self.columns.iter_mut().find(|(name, _)| name == column) {
            Some((_, figures)) => figures.push(values),
            None => {
                let mut figures = Figures::default();
                figures.push(values);
                self.columns.push((column.to_owned(), figures));
            }
        }
    }

    /// The figure of this name in each column that has it.
    pub(crate) fn row(&self, name: &str) -> Vec<(&str, &Figure)> {
        let columns = self.columns.iter();
        columns
            .filter_map(|(column, figures)| Some((column.as_str(), figures.get(name)?)))
            .collect()
    }

    /// The names of the rows: those of the first column in their order, with the rows that only later columns have in between.
    pub(crate) fn row_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (_, figures) in &self.columns {
            let mut position = 0;
            for (name, _) in figures.iter() {
                match names.iter().position(|known| known == name) {
                    Some(known) => position = known + 1,
                    // A row that earlier columns lack keeps its place in this column.
                    None => {
                        names.insert(position, name);
                        position += 1;
                    }
                }
            }
        }
        names
    }

    /// Checks that each value is a number above 0.
    ///
    /// # Errors
    /// If one is not. The error names the first.
    pub(crate) fn check_positive(&self) -> anyhow::Result<()> {
        for (column, figures) in &self.columns {
            for (name, figure) in figures.iter() {
                ensure!(
                    figure.min().is_finite() && figure.min() > 0.0,
                    "{}: {name} of {column} is not a number above 0: {figure}",
                    self.title
                );
            }
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "## {}\n\n|", self.title)?;
        for (column, _) in &self.columns {
            write!(f, " | {column}")?;
        }
        writeln!(f, " |\n|{}", " --- |".repeat(self.columns.len() + 1))?;
        for name in self.row_names() {
            write!(f, "| {name}")?;
            for (_, figures) in &self.columns {
                match figures.get(name) {
                    Some(figure) => write!(f, " | {figure}")?,
                    None => write!(f, " | –")?,
                }
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn value(name: &str, value: f64) -> (String, f64) {
        (name.to_owned(), value)
    }

    #[test]
    fn a_row_that_one_column_lacks_has_a_dash() {
        let mut table = Table::new("T");
        table.add("a", vec![value("x", 1.0), value("z", 3.0)]);
        table.add("b", vec![value("x", 4.0), value("y", 5.0), value("z", 6.0)]);
        let expected = "## T\n\n| | a | b |\n| --- | --- | --- |\n\
                        | x | 1 | 4 |\n| y | – | 5 |\n| z | 3 | 6 |\n";
        assert_eq!(table.to_string(), expected);
        assert!(table.check_positive().is_ok());
    }

    #[test]
    fn a_figure_of_zero_is_named() {
        let mut table = Table::new("T");
        table.add("a", vec![value("x", 0.0)]);
        let error = table.check_positive().expect_err("0 is not above 0");
        assert!(error.to_string().contains('x'), "{error}");
    }
}
