//! Tool calls and their results, put in the one order that every provider accepts: all results of a
//! reply's calls right behind it, in the order of the calls, none missing and none left over.
//!
//! A session is not always so: an interrupted message may have come between, a client may have answered
//! one call of two, the store may have let the oldest turns go.

use std::borrow::Cow;

use forebay_shared::turn::{Role, Turn};

/// What stands in for the result of a call that nobody answered.
const NO_RESULT: &str = "no result";

/// A turn at its place.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) turn: Cow<'a, Turn>,
    /// It is one of the session.
    pub(super) is_stored: bool,
    /// It is one of the job's input.
    pub(super) is_input: bool,
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
    let place = |at: usize| Placed {
        turn: Cow::Borrowed(all[at]),
        is_stored: at < stored,
        is_input: at >= stored,
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
                    placed.push(Placed {
                        turn: Cow::Owned(missing),
                        is_stored: false,
                        is_input: at >= stored,
                    });
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
