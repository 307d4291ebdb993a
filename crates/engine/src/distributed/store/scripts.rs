//! The Lua scripts, each with the flags under which the server runs it.
//!
//! Scripts run by their digest. A server forgets digests at a restart, a failover or a flush. Then `connections` sends
//! the source.

use redis::{Cmd, Script as CompiledScript};

use super::arguments::Arguments;

/// What a script does, and so whether a server without free memory runs it.
///
/// From Redis 7 on, the first line of a script declares this. The server checks the memory only before the script starts,
/// so it never stops a script after some of its writes.
#[derive(Clone, Copy)]
enum ScriptKind {
    /// The script writes new jobs, sessions or settings of sessions. A server without free memory refuses it.
    WritesUnlessFull,
    /// The script writes other changes. A server without free memory runs it too, so that running jobs can finish.
    Writes,
    /// The script only reads.
    Reads,
}

/// A script, its source and its digest.
pub(super) struct LuaScript {
    pub(super) name: &'static str,
    source: String,
    compiled: CompiledScript,
}

impl LuaScript {
    fn new(name: &'static str, kind: ScriptKind, parts: &[&str]) -> Self {
        let first_line = match kind {
            ScriptKind::WritesUnlessFull => "#!lua",
            ScriptKind::Writes => "#!lua flags=allow-oom",
            ScriptKind::Reads => "#!lua flags=no-writes",
        };
        let source = format!("{first_line}\n{}", parts.join("\n"));
        let compiled = CompiledScript::new(&source);
        Self {
            name,
            source,
            compiled,
        }
    }

    /// The command that runs the script if the server knows its digest.
    pub(super) fn by_digest(&self, keys: &[impl AsRef<str>], args: &Arguments) -> Cmd {
        eval_command("EVALSHA", self.compiled.get_hash(), keys, args)
    }

    /// The command that runs the script from its source. The server knows the digest from then on.
    pub(super) fn by_source(&self, keys: &[impl AsRef<str>], args: &Arguments) -> Cmd {
        eval_command("EVAL", &self.source, keys, args)
    }
}

/// The number of keys, as text, has at most this many bytes.
const NUMBER_BYTES_MAX: usize = 20;

fn eval_command(name: &str, script: &str, keys: &[impl AsRef<str>], args: &Arguments) -> Cmd {
    let argument_count = 3 + keys.len() + args.len();
    let keys_bytes: usize = keys.iter().map(|key| key.as_ref().len()).sum();
    let bytes = name.len() + script.len() + keys_bytes + args.bytes();
    let mut command = Cmd::with_capacity(argument_count, bytes + NUMBER_BYTES_MAX);
    command.arg(name).arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    for argument in args.iter() {
        command.arg(argument);
    }
    command
}

/// Functions that several scripts share. The source of each of these scripts begins with them.
const LANE: &str = include_str!("scripts/lane.lua");
/// Functions for the numbers of turns.
const TURN_NUMBERS: &str = include_str!("scripts/turn_numbers.lua");
/// Functions that change the index of deferred heads.
const DEFERRED: &str = include_str!("scripts/deferred.lua");

/// Functions that read the store's clock.
const CLOCK: &str = include_str!("scripts/clock.lua");

macro_rules! scripts {
    ($($name:ident: $kind:ident, [$($part:expr),+];)+) => {
        /// All scripts.
        pub(super) struct LuaScripts {
            $(pub(super) $name: LuaScript,)+
        }

        impl LuaScripts {
            pub(super) fn new() -> Self {
                Self {
                    $($name: LuaScript::new(stringify!($name), ScriptKind::$kind, &[$($part),+]),)+
                }
            }
        }
    };
}

scripts! {
    commit_with_new_jobs: WritesUnlessFull, [LANE, TURN_NUMBERS, DEFERRED, include_str!("scripts/commit.lua")];
    commit_without_new_jobs: Writes, [LANE, TURN_NUMBERS, DEFERRED, include_str!("scripts/commit.lua")];
    load: Reads, [LANE, include_str!("scripts/load.lua")];
    job: Reads, [include_str!("scripts/job.lua")];
    remove_job: Writes, [include_str!("scripts/remove_job.lua")];
    listed_session: Reads, [LANE, include_str!("scripts/listed_session.lua")];
    prune_sessions: Writes, [include_str!("scripts/prune_sessions.lua")];
    prune_list: Writes, [include_str!("scripts/prune_list.lua")];
    run_inputs: Reads, [include_str!("scripts/run_inputs.lua")];
    session_turns: Reads, [TURN_NUMBERS, include_str!("scripts/session_turns.lua")];
    read_and_renew_session: Writes, [LANE, include_str!("scripts/read_and_renew_session.lua")];
    put_session: WritesUnlessFull, [LANE, TURN_NUMBERS, include_str!("scripts/put_session.lua")];
    swap_settings: WritesUnlessFull, [LANE, include_str!("scripts/swap_settings.lua")];
    remove_sessions: Writes, [LANE, include_str!("scripts/remove_sessions.lua")];
    delete_expired: Writes, [include_str!("scripts/delete_expired.lua")];
    move_timers: Writes, [include_str!("scripts/move_timers.lua")];
    remove_orphan_timers: Writes, [include_str!("scripts/remove_orphan_timers.lua")];
    heads: Reads, [include_str!("scripts/heads.lua")];
    deferred_heads: Reads, [include_str!("scripts/deferred_heads.lua")];
    remove_deferred: Writes, [LANE, DEFERRED, include_str!("scripts/remove_deferred.lua")];
    swap_account: Writes, [include_str!("scripts/swap_account.lua")];
    api_keys: Reads, [include_str!("scripts/api_keys.lua")];
    add_api_key: Writes, [include_str!("scripts/add_api_key.lua")];
    remove_api_key: Writes, [include_str!("scripts/remove_api_key.lua")];
    record_api_key_uses: Writes, [include_str!("scripts/record_api_key_uses.lua")];
    swap_idempotency_key: Writes, [include_str!("scripts/swap_idempotency_key.lua")];
    swap_tenant_usage: Writes, [include_str!("scripts/swap_tenant_usage.lua")];
    set_tenant_limits: Writes, [include_str!("scripts/set_tenant_limits.lua")];
    live_jobs_of: Reads, [include_str!("scripts/live_jobs_of.lua")];
    counts: Reads, [include_str!("scripts/counts.lua")];
    recent_counts: Writes, [include_str!("scripts/recent_counts.lua")];
    store_counts: Writes, [include_str!("scripts/store_counts.lua")];
    read_clock: Reads, [CLOCK, include_str!("scripts/read_clock.lua")];
    renew_presence: Writes, [CLOCK, include_str!("scripts/renew_presence.lua")];
    elect_sweeper: Writes, [include_str!("scripts/elect_sweeper.lua")];
    end_term: Writes, [include_str!("scripts/end_term.lua")];
}

#[cfg(test)]
mod tests {
    use forebay_shared::store::INLINE_BYTES_MAX;

    use super::LANE;

    #[test]
    fn the_scripts_and_the_trait_have_the_same_limit() {
        let line = format!("local inline_bytes_max = {INLINE_BYTES_MAX}\n");
        assert!(LANE.contains(&line));
    }
}
