//! Forebay as whole processes: the real binary over real HTTP, with scripted providers.
//!
//! One file for each theme. Every test has a process, a data folder and a provider of its own; where a
//! test sleeps, time itself is what it is about, or it is a client's pause between two looks.

#[macro_use]
mod pair;

mod bad_input;
mod cancel;
mod deadline;
mod drain;
mod faults;
mod faults_gemini;
mod faults_openai;
mod if_busy;
mod kill9;
mod load;
mod priority;
mod providers_file;
mod reasoning;
mod session_life;
mod start;
mod tls_provider;
mod tools;
mod wait;
