//! Who may use the API: API keys, their tenants and their scopes.
//!
//! - `scopes`: what a key may do.
//! - `api_keys`: the valid keys, found by their hashes (`key_hash`). `keys_file`: reads keys
//!   and limits from the text of a file, and `limits_text` one line of limits.
//! - [`ApiKeysFile`]: the keys of a file, read again when it changes.
//! - `authorize`: decides which scope a request needs, and whether its key has it. `caller`: who makes a request.

mod api_keys;
mod api_keys_file;
mod authorize;
mod caller;
mod key_hash;
mod keys_file;
mod limits_text;
mod scopes;

pub use api_keys_file::{ApiKeysFile, ApiKeysFileError};
pub(crate) use authorize::{Access, authorize, unknown_key};
pub(crate) use caller::Caller;
pub(crate) use scopes::Scope;
