//! Upgrades: this release reads data of an older release, and keeps the fields that a newer release has added.

mod fixture;
mod future_fields;
mod installation;
mod make_fixture;
mod newer_version;
mod rabbit_messages;
mod redis_dump;
mod scenario;
mod sqlite_dump;
mod stored;
mod times;
