//! Tests of single Forebay processes: the real binary over real HTTP, with scripted providers.
//!
//! One file for each topic. Every test has its own process, data folder and provider. A test sleeps only between two
//! polls, or to let the time pass whose effect it tests.

#[macro_use]
mod fixture;

mod api_keys;
mod bad_input;
mod cancel;
mod check;
mod deadline;
#[cfg(target_os = "linux")]
mod disk_sync;
mod drain;
mod environment;
mod eta;
mod failed_jobs_log;
mod faults;
mod faults_gemini;
mod faults_openai;
mod full_disk;
mod if_busy;
mod keys_command;
mod kill9;
mod load;
mod local_server;
mod log_fields;
mod log_reader;
mod metrics;
mod odd_replies;
mod odd_requests;
mod open_files;
mod openapi;
mod priority;
mod providers_file;
mod reasoning;
mod recipes;
mod replace_turns;
mod retry_and_delete;
mod session_defaults;
mod session_life;
mod slow_clients;
mod start;
mod strict_servers;
mod tenant_limits;
mod tls_provider;
mod tools;
mod traces;
mod wait;
