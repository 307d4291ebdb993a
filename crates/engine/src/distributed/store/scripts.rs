//! The scripts, by name, each with the conditions under which a server may run it.
//!
//! All run by their digest. A server that has forgotten them (it was restarted, it has failed over,
//! somebody flushed them) says so, and then gets the source along; see `link.rs`.

use redis::Script as Compiled;

/// What a script may do on a server that is short of memory.
///
/// From Redis 7 on the first line of a script says so, and the server asks before it starts one, never
/// in the middle of it.
#[derive(Clone, Copy)]
enum Flags {
    /// Writes, and makes new jobs: refused when memory is used up.
    Admits,
    /// Writes, so that what is running can finish: allowed even then.
    Settles,
    /// Reads only.
    Reads,
}

/// A script with its digest.
pub(super) struct Script {
    pub(super) name: &'static str,
    source: String,
    compiled: Compiled,
}

impl Script {
    fn new(name: &'static str, flags: Flags, parts: &[&str]) -> Self {
        let first = match flags {
            Flags::Admits => "#!lua",
            Flags::Settles => "#!lua flags=allow-oom",
            Flags::Reads => "#!lua flags=no-writes",
        };
        let source = format!("{first}\n{}", parts.join("\n"));
        let compiled = Compiled::new(&source);
        Self {
            name,
            source,
            compiled,
        }
    }

    /// Its SHA-1, by which a server knows it.
    pub(super) fn digest(&self) -> &str {
        self.compiled.get_hash()
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }
}

const LOOK: &str = include_str!("scripts/look.lua");

macro_rules! scripts {
    ($($name:ident: $flags:ident, [$($part:expr),+];)+) => {
        /// All scripts.
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)+
        }

        impl Scripts {
            pub(super) fn new() -> Self {
                Self {
                    $($name: Script::new(stringify!($name), Flags::$flags, &[$($part),+]),)+
                }
            }
        }
    };
}

scripts! {
    admit: Admits, [LOOK, include_str!("scripts/commit.lua")];
    settle: Settles, [LOOK, include_str!("scripts/commit.lua")];
    load: Reads, [LOOK, include_str!("scripts/load.lua")];
    job: Reads, [include_str!("scripts/job.lua")];
    session: Settles, [LOOK, include_str!("scripts/session.lua")];
    forget: Settles, [LOOK, include_str!("scripts/forget.lua")];
    prune: Settles, [include_str!("scripts/prune.lua")];
    shift: Settles, [include_str!("scripts/move.lua")];
    heads: Reads, [include_str!("scripts/heads.lua")];
    counts: Reads, [include_str!("scripts/counts.lua")];
    announce: Settles, [include_str!("scripts/announce.lua")];
    elect: Settles, [include_str!("scripts/elect.lua")];
    abdicate: Settles, [include_str!("scripts/abdicate.lua")];
}
