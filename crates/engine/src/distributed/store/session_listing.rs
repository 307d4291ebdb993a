//! The list of sessions. Each partition has a part of it, as with the list of jobs. An entry is `TENANT|CREATED|SESSION`.
//!
//! A deleted session leaves its entry. Reads ignore such an entry, and the sweeper removes it.

use std::sync::atomic::Ordering;

use forebay_shared::{
    ids::{SessionId, TenantId},
    session::SessionInfo,
    session_settings::StoredSettings,
    store::{ListedSession, SessionListQuery, SessionPosition, StoreError},
    time::TimeMs,
};
use redis::{Cmd, cmd};

use super::{
    arguments::Arguments,
    keys::{self, partitions},
    listing::merge_pages,
    redis_store::RedisStore,
    reply_part::ReplyPart,
    turn_numbers::TurnNumbers,
};
use crate::rejection::{OnStoreFull, broken_data};

/// The fewest entries that are read of each partition at once.
const PAGE_MIN: usize = 8;
/// How many entries a call of the sweeper checks.
const CHECKED_MAX: usize = 1_000;

/// The entry of a session. Entries sort by time until the year 5138: later times have more than 14 digits.
fn entry(tenant: &TenantId, position: &SessionPosition) -> String {
    let SessionPosition {
        created_at,
        session,
    } = position;
    format!("{tenant}|{:014}|{session}", created_at.0)
}

/// The entry does not have the form that [`entry`] writes.
#[derive(Debug, thiserror::Error)]
#[error("an entry of the list of sessions is unreadable")]
struct UnreadableEntry;

fn position(entry: &str) -> Result<SessionPosition, StoreError> {
    // The id of a session may contain `|`, so it is everything after the second `|` of the entry.
    let mut parts = entry.splitn(3, '|').skip(1);
    let created_at = parts.next().and_then(|time| time.parse().ok());
    let session = parts.next().and_then(|id| SessionId::parse(id).ok());
    match (created_at, session) {
        (Some(created_at), Some(session)) => Ok(SessionPosition {
            created_at: TimeMs(created_at),
            session,
        }),
        _ => Err(broken_data(UnreadableEntry)),
    }
}

impl RedisStore {
    /// Reads a page of each partition, merges the pages, and reads the sessions.
    pub(super) async fn find_listed_sessions(
        &self,
        query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let page = (query.limit / 32).max(PAGE_MIN);
        let tenant = &query.tenant;
        // `:` is greater than every digit.
        let (mut low, mut high) = (format!("[{tenant}|"), format!("({tenant}|:"));
        if let Some(after) = &query.after {
            let entry = entry(tenant, after);
            match query.is_oldest_first {
                true => low = format!("({entry}"),
                false => high = format!("({entry}"),
            }
        }
        let read = |partition: u8| -> Cmd {
            let mut range = cmd("ZRANGE");
            range.arg(self.keys.listed_sessions(partition));
            if query.is_oldest_first {
                range.arg(&low).arg(&high).arg("BYLEX");
            } else {
                range.arg(&high).arg(&low).arg(&["BYLEX", "REV"]);
            }
            range.arg("LIMIT").arg(0).arg(page);
            range
        };
        let commands = partitions().map(read).collect();
        let replies = self
            .connections
            .run_each("ZRANGE of sessions", commands)
            .await?;
        let mut pages = Vec::new();
        for reply in replies {
            let entries = reply.list()?.map(|entry| position(&entry.text()?));
            pages.push(entries.collect::<Result<Vec<_>, StoreError>>()?);
        }
        let positions = merge_pages(pages, page, query.is_oldest_first, query.limit);
        self.read_listed(tenant, positions).await
    }

    /// Reads the sessions at these positions.
    async fn read_listed(
        &self,
        tenant: &TenantId,
        positions: Vec<SessionPosition>,
    ) -> Result<Vec<ListedSession>, StoreError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let calls: Vec<_> = positions
            .iter()
            .map(|position| {
                let partition = keys::session_partition(tenant, &position.session);
                let name = keys::session_name(tenant, &position.session);
                let key = self.keys.session(partition, &name);
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(partition))
                    .push(name)
                    .push_time(now);
                ([key], args)
            })
            .collect();
        let script = &self.scripts.listed_session;
        let replies = self.connections.eval_each(script, &calls).await?;
        let listed = positions.into_iter().zip(replies);
        listed
            .map(|(position, reply)| {
                let info = reply.non_nil().map(info).transpose()?;
                let info = info.filter(|info| info.created_at == position.created_at);
                Ok(ListedSession { position, info })
            })
            .collect()
    }

    /// Removes entries without a session from one partition. Once all entries of a partition are checked, the next call
    /// takes the next partition.
    pub(super) async fn prune_sessions(&self) -> Result<(), StoreError> {
        let partition = self.pruned_sessions_partition.load(Ordering::Relaxed);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push_text(CHECKED_MAX);
        let key = self.keys.listed_sessions(partition);
        let script = &self.scripts.prune_sessions;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        if ReplyPart::u64_or_zero(reply.await?)? < CHECKED_MAX as u64 {
            self.pruned_sessions_partition
                .store(partition.wrapping_add(1), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Reads the reply of `listed_session.lua`.
fn info(reply: ReplyPart) -> Result<SessionInfo, StoreError> {
    let [
        created_at,
        updated_at,
        position,
        gaps,
        turn_count,
        turns_bytes,
        expires_at,
        live_jobs,
        attributes,
        model,
    ] = reply.parts()?;
    let expires_at = expires_at.u64_or_zero()?;
    let live_jobs = live_jobs.u64_or_zero()?;
    let text = |part: ReplyPart| part.non_nil().map(ReplyPart::text).transpose();
    let numbers = TurnNumbers::read(position, gaps)?;
    let turn_count = turn_count.u64_or_zero()?;
    Ok(SessionInfo {
        turn_count,
        first_turn: numbers.at(0),
        next_turn: numbers.after(turn_count),
        turns_bytes: turns_bytes.u64_or_zero()?,
        turns: None,
        settings: Some(StoredSettings {
            attributes: text(attributes)?,
            model: text(model)?,
            defaults: None,
        }),
        created_at: TimeMs(created_at.u64_or_zero()?),
        updated_at: TimeMs(updated_at.u64_or_zero()?),
        expires_at: (expires_at > 0).then_some(TimeMs(expires_at)),
        live_jobs: usize::try_from(live_jobs).unwrap_or(usize::MAX),
    })
}
