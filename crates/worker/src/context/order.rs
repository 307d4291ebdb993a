//! Tool calls and their results, put in the one order that every provider accepts: all results of a
//! reply's calls right behind it, in the order of the calls, none missing and none left over.
//!
//! A session is not always so: an interrupted message may have come between, a client may have answered
//! one call of two, the store may have let the oldest turns go.

use forebay_shared::turn::{Role, Turn};

/// What stands in for the result of a call that nobody answered.
const NO_RESULT: &str = "no result";

/// Where a turn that is sent comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The session, at this index.
    Session(usize),
    /// The job's input, at this index.
    Input(usize),
    /// Nowhere: it says that a call has no result.
    Made,
}

/// What stands at a place of the conversation.
#[derive(Debug)]
pub(super) enum Placed<'a> {
    /// A turn of the session, with its index.
    Stored(usize, &'a Turn),
    /// A turn of the input, with its index.
    Input(usize, &'a Turn),
    /// "No result", for a call of the session or, with `true`, of the input.
    Made(Turn, bool),
}

impl Placed<'_> {
    pub(super) fn turn(&self) -> &Turn {
        match self {
            Self::Stored(_, turn) | Self::Input(_, turn) => turn,
            Self::Made(turn, _) => turn,
        }
    }

    /// Whether it belongs to the input, which is always sent.
    pub(super) const fn is_input(&self) -> bool {
        matches!(self, Self::Input(..) | Self::Made(_, true))
    }

    pub(super) const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored(..))
    }

    /// Where it comes from, and the turn itself where that is nowhere.
    pub(super) fn into_origin(self) -> (Origin, Option<Turn>) {
        match self {
            Self::Stored(at, _) => (Origin::Session(at), None),
            Self::Input(at, _) => (Origin::Input(at), None),
            Self::Made(turn, _) => (Origin::Made, Some(turn)),
        }
    }
}

/// A session and an input as one conversation.
#[derive(Debug)]
pub(super) struct Ordered<'a> {
    pub(super) placed: Vec<Placed<'a>>,
    /// Results that the session lacks for its last reply's calls.
    pub(super) unanswered: Vec<Turn>,
    /// How many results of the session answer no call of it; these are not placed.
    pub(super) orphans: usize,
}

/// Puts everything in order. Results of the input that answer no call stay where they are: what a client
/// sends is not dropped, so the provider's refusal tells it.
pub(super) fn arrange<'a>(session: &'a [Turn], input: &'a [Turn]) -> Ordered<'a> {
    let all: Vec<&Turn> = session.iter().chain(input).collect();
    let stored = session.len();
    let last_reply = session
        .iter()
        .rposition(|turn| turn.role != Role::Tool)
        .filter(|at| !session[*at].tool_calls.is_empty());
    let mut is_placed = vec![false; all.len()];
    let mut placed = Vec::with_capacity(all.len());
    let mut unanswered = Vec::new();
    let mut orphans = 0;
    let place = |at: usize| match at.checked_sub(stored) {
        None => Placed::Stored(at, all[at]),
        Some(input) => Placed::Input(input, all[at]),
    };
    for (at, turn) in all.iter().enumerate() {
        if is_placed[at] {
            continue;
        }
        if turn.role == Role::Tool && at < stored {
            orphans += 1;
            continue;
        }
        is_placed[at] = true;
        placed.push(place(at));
        for call in &turn.tool_calls {
            match result_of(&all, &is_placed, at, &call.id) {
                Some(found) => {
                    is_placed[found] = true;
                    placed.push(place(found));
                }
                None => {
                    let missing = no_result(&call.id);
                    if last_reply == Some(at) {
                        unanswered.push(missing.clone());
                    }
                    placed.push(Placed::Made(missing, at >= stored));
                }
            }
        }
    }
    Ordered {
        placed,
        unanswered,
        orphans,
    }
}

/// The result of a call made in the turn at `at`. Ids can come again, so the search ends where another
/// reply calls by the same one.
fn result_of(all: &[&Turn], is_placed: &[bool], at: usize, id: &str) -> Option<usize> {
    for (found, turn) in all.iter().enumerate().skip(at + 1) {
        if turn.tool_calls.iter().any(|call| call.id == id) {
            return None;
        }
        let answers = turn.role == Role::Tool && turn.tool_call_id.as_deref() == Some(id);
        if answers && !is_placed[found] {
            return Some(found);
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
