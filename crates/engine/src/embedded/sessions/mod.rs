//! The tables of sessions and turns.

mod forget;
mod key;
mod read;
mod write;

pub(super) use forget::{count, delete_expired, evict, remove};
pub(super) use key::SessionKey;
pub(super) use read::{RawSession, parse_turns, read, touch, turns};
pub(super) use write::write;
