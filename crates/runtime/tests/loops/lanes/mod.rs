//! `lanes`: events are folded, commits are made surely, and what is remembered is never trusted blindly.

mod fold;
mod lost_answer;
mod outage;
mod remembered;
