//! The tables of sessions and turns.

mod delete;
mod key;
mod read;
mod write;

pub(super) use delete::{count, delete_expired, evict, remove};
pub(super) use key::SessionKey;
pub(super) use read::{info, parse_turns, touch, turns, turns_from};
pub(super) use write::write;
