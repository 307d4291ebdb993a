//! Tests of the README. They run its walk-through and its two Python programs, and compare its table of settings with
//! `--help`. Also tests of `.env.example`.
//!
//! With `FOREBAY_BLESS=1`, the test of the walk-through writes the actual outputs into the README instead of comparing
//! them.

mod env_example;
mod programs;
mod settings;
mod walk;
