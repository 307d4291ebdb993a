//! Sessions: their turns, and the time and the use after which they go.

mod forget;
mod read;
mod write;

pub(super) use forget::{count, evict, prune, remove};
pub(super) use read::{RawSession, parse_turns, read, touch, turns};
pub(super) use write::{SessionChange, write};
