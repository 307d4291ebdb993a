//! What is printed and written: figures, tables, plots, and the machine on which they were measured.

pub(crate) mod bar_chart;
pub(crate) mod document;
pub(crate) mod figure;
pub(crate) mod line_chart;
pub(crate) mod machine;
mod svg;
pub(crate) mod table;
