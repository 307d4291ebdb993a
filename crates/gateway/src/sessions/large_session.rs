//! Reads the turns of a large session: all of them, or a page. The store returns them in parts, and the session may change
//! between two parts. All parts show the session as it was when the read began.

use forebay_runtime::byte_budget::ReservedBytes;
use forebay_shared::{
    ids::{SessionId, TenantId},
    session::{SessionInfo, StoredTurn},
    store::TurnRange,
};

use super::page::Page;
use crate::{
    problem::Problem,
    problem_code::ProblemCode,
    state::{ApiState, no_read_memory},
    store_call,
};

/// The most bytes of turns that one read of the store returns, and that a page has. A larger turn is returned alone.
const PAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most bytes of a reply with the default of `FOREBAY_RESPONSE_BYTES_MAX`. The gateway does not know the setting of the
/// workers. A larger turn extends the reservation. A turn that a client sends is at most as large as its body.
const REPLY_BYTES_EXPECTED: u64 = 16 * 1024 * 1024;

/// How much memory a read needs.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// How many copies of the turns are in memory at the same time.
    pub(super) copies: u64,
    /// What the caller needs besides the turns. It is reserved together with them.
    pub(super) further_bytes: u64,
}

/// The turns of a response, and the memory that is reserved for them.
pub(super) struct ReadTurns {
    pub(super) turns: Vec<StoredTurn>,
    /// For a page: the number of its last turn, after which the next page begins. The inner `None`: this is the last page.
    pub(super) next_after: Option<Option<u64>>,
    pub(super) reserved: Option<ReservedBytes>,
}

/// The session without its turns, or with them if they are small.
pub(super) async fn read_info(
    state: &ApiState,
    tenant: &TenantId,
    id: &SessionId,
) -> Result<Option<SessionInfo>, Problem> {
    let ttl_ms = state.settings.session_ttl_ms;
    let read = state.member.store.session_info(tenant, id, ttl_ms);
    store_call::with_timeout(read).await
}

/// Reads the turns, once there is memory for them. `None` if the parts do not fit together, because the session has changed since
/// `info` was read: it lost turns, was deleted or created again, or has more bytes. The caller then begins again.
pub(super) async fn read(
    state: &ApiState,
    tenant: &TenantId,
    id: &SessionId,
    info: &SessionInfo,
    page: Option<Page>,
    memory: Memory,
) -> Result<Option<ReadTurns>, Problem> {
    let from = page.map_or(0, Page::from).max(info.first_turn);
    let bytes = match page {
        Some(_) => page_bytes(state, info),
        None => all_bytes(state, info, memory)?,
    };
    let mut reserved = state.reserve_read(bytes + memory.further_bytes).await?;
    let mut turns: Vec<StoredTurn> = Vec::new();
    let turns_max = page.map_or(info.turn_count, |page| page.limit as u64);
    let (mut next, mut read_bytes) = (from, 0);
    while next < info.next_turn && (turns.len() as u64) < turns_max {
        let wanted = turns_max - turns.len() as u64;
        let range = TurnRange {
            from: next,
            turns_max: usize::try_from(wanted).unwrap_or(usize::MAX),
            bytes_max: PAGE_BYTES_MAX,
        };
        let read = state.member.store.session_turns(tenant, id, range);
        let mut read = store_call::with_long_timeout(read).await?;
        // Turns that were added since are not shown.
        read.retain(|turn| turn.number < info.next_turn);
        let Some(last) = read.last() else { break };
        next = last.number + 1;
        read_bytes += read.iter().map(|turn| turn.json.len() as u64).sum::<u64>();
        if page.is_none() && read_bytes > bytes {
            return Ok(None);
        }
        // A turn may be larger than expected if the workers or an earlier process have other limits.
        if !reserved.try_extend(read_bytes * memory.copies + memory.further_bytes) {
            return Err(no_read_memory());
        }
        turns.append(&mut read);
        if page.is_some() {
            break;
        }
    }
    // A number always stands for the same turn. So if the count is the same, these are the turns that the session had at first.
    // Otherwise the oldest were dropped, the newest were replaced, or the session was deleted.
    if page.is_none() && turns.len() as u64 != info.turn_count {
        return Ok(None);
    }
    // A page that had turns at first is empty only if the session has changed: its newest turn was replaced, or it was deleted.
    if page.is_some() && turns.is_empty() && from < info.next_turn {
        return Ok(None);
    }
    // A session that was deleted and created again may have turns with the same numbers.
    let is_same = match read_info(state, tenant, id).await? {
        Some(now) => now.created_at == info.created_at,
        None => false,
    };
    if !is_same {
        return Ok(None);
    }
    if page.is_some() {
        reserved.shrink(read_bytes + memory.further_bytes);
    }
    Ok(Some(ReadTurns {
        next_after: page.map(|_| {
            turns
                .last()
                .filter(|_| next < info.next_turn)
                .map(|turn| turn.number)
        }),
        turns,
        reserved: Some(reserved),
    }))
}

/// The bytes to reserve for all turns.
fn all_bytes(state: &ApiState, info: &SessionInfo, memory: Memory) -> Result<u64, Problem> {
    // A quarter more for the JSON around the turns. Besides the turns that were read, the reply of the store with the next ones
    // is in memory.
    let bytes = memory.copies * info.turns_bytes + info.turns_bytes / 4 + PAGE_BYTES_MAX;
    if bytes + memory.further_bytes > state.member.memory.reads.total() {
        let detail = format!(
            "the session has {} bytes, and this gateway has no memory for all of them at once; \
             GET reads them in pages, with the query parameter limit",
            info.turns_bytes
        );
        return Err(Problem::new(ProblemCode::SessionTooLarge, detail));
    }
    Ok(bytes)
}

/// The bytes to reserve for a page, before it is known how large its turns are.
fn page_bytes(state: &ApiState, info: &SessionInfo) -> u64 {
    let body_bytes_max = u64::try_from(state.settings.body_bytes_max).unwrap_or(u64::MAX);
    // A page has at most `PAGE_BYTES_MAX`, or one larger turn. The reply of the store is in memory beside it.
    let turn_bytes_max = REPLY_BYTES_EXPECTED.max(body_bytes_max);
    info.turns_bytes
        .min(turn_bytes_max.saturating_add(PAGE_BYTES_MAX))
}
