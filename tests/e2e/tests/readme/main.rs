//! Tests of the README: they run its walk-through and its two Python programs, and compare its table of settings with
//! `--help`.
//!
//! `FOREBAY_BLESS=1` writes the actual outputs of the walk-through into the README instead of comparing them. Read the
//! changes in the diff.

mod programs;
mod settings;
mod walk;
