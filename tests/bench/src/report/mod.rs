//! What is printed and written: figures, tables, plots, and the machine on which they were measured.

pub(crate) mod figure;
