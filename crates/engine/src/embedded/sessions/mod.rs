//! The tables of sessions and turns.

mod forget;
mod key;
mod read;
mod write;

pub(super) use forget::{count, evict, prune, remove};
pub(super) use key::SessionKey;
pub(super) use read::{RawSession, parse_turns, read, touch, turns};
pub(super) use write::write;
