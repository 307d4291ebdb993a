//! The README, held to its word: the walk is taken out of it and run, and so are its two Python programs.
//!
//! `FOREBAY_BLESS=1` writes the outputs that were seen into the README instead of comparing them; what
//! changed is then for a person to read in the diff.

mod programs;
mod settings;
mod walk;
