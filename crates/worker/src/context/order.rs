//! Puts tool calls and their results in an order that every provider accepts.
//!
//! The results of a reply's calls follow that reply, in the order of the calls, one result for each call.
//! A session may have another order. The message of an interrupted job (`if_busy: interrupt`) may be between a call and its
//! result. A client may send the result of only one of two calls. The store may have removed the oldest turns.

use forebay_shared::turn::{Role, Turn};

/// The text of an added result, for a call that has none.
const NO_RESULT: &str = "no result";

/// Where a turn comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The session.
    Session,
    /// The job's input, at this index.
    Input(usize),
    /// Added here, as the result of a call in the session that has none.
    AddedToSession,
    /// Added here, as the result of a call in the input that has none.
    AddedToInput,
}

impl Origin {
    /// Whether the turn belongs to the input, which is always sent.
    pub(super) const fn is_input(self) -> bool {
        matches!(self, Self::Input(_) | Self::AddedToInput)
    }
}

/// A turn and where it comes from.
#[derive(Debug)]
pub(super) struct OrderedTurn {
    pub(super) turn: Turn,
    pub(super) origin: Origin,
}

/// A session and an input as one conversation.
#[derive(Debug)]
pub(super) struct OrderedTurns {
    /// The turns in the order to send.
    pub(super) turns: Vec<OrderedTurn>,
    /// The results that the session lacks for the calls of its last reply.
    pub(super) missing_results: Vec<Turn>,
    /// How many results in the session belong to no call. They are left out.
    pub(super) orphans: usize,
}

/// Puts a session and an input in order.
///
/// Results in the input that belong to no call keep their position. A job with such a result has already failed
/// ([`results::keep_new`](super::results::keep_new)).
pub(super) fn arrange(session: Vec<Turn>, input: Vec<Turn>) -> OrderedTurns {
    let session_len = session.len();
    let last_reply = session
        .iter()
        .rposition(|turn| turn.role == Role::Assistant);
    let origin = |index: usize| match index.checked_sub(session_len) {
        None => Origin::Session,
        Some(index) => Origin::Input(index),
    };
    let mut unordered: Vec<Option<Turn>> = session.into_iter().chain(input).map(Some).collect();
    let mut turns = Vec::with_capacity(unordered.len());
    let mut missing_results = Vec::new();
    let mut orphans = 0;
    for index in 0..unordered.len() {
        // `None`: the turn is a result that already follows its call in `turns`.
        let Some(turn) = unordered[index].take() else {
            continue;
        };
        if turn.role == Role::Tool && index < session_len {
            orphans += 1;
            continue;
        }
        let mut results = Vec::with_capacity(turn.tool_calls.len());
        for call in &turn.tool_calls {
            let found = result_index(&unordered, index, &call.id);
            let taken = found.and_then(|index| Some((unordered[index].take()?, origin(index))));
            let (result, origin) = taken.unwrap_or_else(|| {
                let missing = no_result(&call.id);
                if last_reply == Some(index) {
                    missing_results.push(missing.clone());
                }
                let origin = if index < session_len {
                    Origin::AddedToSession
                } else {
                    Origin::AddedToInput
                };
                (missing, origin)
            });
            results.push(OrderedTurn {
                turn: result,
                origin,
            });
        }
        turns.push(OrderedTurn {
            turn,
            origin: origin(index),
        });
        turns.append(&mut results);
    }
    OrderedTurns {
        turns,
        missing_results,
        orphans,
    }
}

/// The index of the result of the call `id`, which the turn at `call_index` makes.
///
/// A later reply may use the same id again. The search ends at that reply.
fn result_index(turns: &[Option<Turn>], call_index: usize, id: &str) -> Option<usize> {
    for (index, turn) in turns.iter().enumerate().skip(call_index + 1) {
        let Some(turn) = turn else {
            continue;
        };
        if turn.tool_calls.iter().any(|call| call.id == id) {
            return None;
        }
        if turn.role == Role::Tool && turn.tool_call_id.as_deref() == Some(id) {
            return Some(index);
        }
    }
    None
}

fn no_result(id: &str) -> Turn {
    Turn {
        tool_call_id: Some(id.to_owned()),
        ..Turn::text(Role::Tool, NO_RESULT)
    }
}
