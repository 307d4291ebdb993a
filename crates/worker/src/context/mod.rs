//! What of a session is sent along with a job: pure functions, no I/O.
//!
//! [`select`] puts the session's turns and the job's input in an order that every provider accepts
//! (`order`), and cuts off the oldest until the job's bounds hold. [`Selected::halve`] cuts further
//! when the provider says that it was too much.
//!
//! The rules:
//! - The input is sent whole.
//! - A cut lies only before a turn of the user (with the operator's rules right before it, if any), so
//!   never between a tool call and its result; what is sent begins so, and what stands before the first
//!   such place is left out.
//! - The results of tools stand right behind their calls; a call without one gets `"no result"`.
//! - A bound that cannot be met without breaking these is met as nearly as possible.

mod measure;
mod order;

use forebay_shared::{
    job::ContextBounds,
    session::TokenMeasure,
    turn::{Role, Turn},
};

pub use measure::sent_bytes;
use measure::{estimated_tokens, remaining_bytes};
use order::{Origin, Placed};

/// What is sent, and what the store must be told besides. It holds each turn once, for a call takes seconds and
/// there are many at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The turns to send, the input among them.
    pub turns: Vec<Turn>,
    /// How many these are.
    pub sent: u32,
    /// How many of the session's turns are not among them.
    pub dropped: u32,
    /// Results for calls of the session's last reply that nobody answered. They go into the session
    /// before the input, so that what is stored is as valid as what is sent.
    pub unanswered: Vec<Turn>,
    /// The bytes of what is sent, as JSON; with the tokens that the provider counts they make the next
    /// [`TokenMeasure`].
    pub sent_bytes: u64,
    /// Where more can be cut off: indices into `turns`, ascending, each over 0.
    cuts: Box<[usize]>,
    /// For each turn, where it comes from.
    origins: Vec<Origin>,
}

/// Chooses what is sent of a session with a job's input.
#[must_use]
pub fn select(
    session: Vec<Turn>,
    input: Vec<Turn>,
    bounds: ContextBounds,
    measure: Option<TokenMeasure>,
) -> Selected {
    let order::Ordered {
        placed,
        unanswered,
        orphans,
    } = order::arrange(&session, &input);
    let cuts = cuts(&placed);
    let remaining = remaining_bytes(placed.iter().map(Placed::turn));
    let fits = |cut: usize| {
        let turns = placed.len() - cut;
        let within_turns = bounds
            .max_turns
            .is_none_or(|max| turns <= usize::try_from(max).unwrap_or(usize::MAX));
        within_turns
            && bounds
                .max_input_tokens
                .is_none_or(|max| estimated_tokens(remaining[cut], measure) <= u64::from(max))
    };
    let fitting = cuts.iter().copied().find(|cut| fits(*cut));
    let cut = fitting.or(cuts.last().copied()).unwrap_or(0);
    let left_out = placed[..cut]
        .iter()
        .filter(|placed| placed.is_stored())
        .count();
    let sent_bytes = remaining[cut];
    let kept = placed.into_iter().skip(cut);
    let kept: Vec<(Origin, Option<Turn>)> = kept.map(Placed::into_origin).collect();

    let (mut session, mut input) = (Places::of(session), Places::of(input));
    let (mut origins, mut turns): (Vec<Origin>, Vec<Turn>) = kept
        .into_iter()
        .filter_map(|(origin, made)| {
            let turn = match origin {
                Origin::Session(at) => session.take(at),
                Origin::Input(at) => input.take(at),
                Origin::Made => made,
            };
            Some((origin, turn?))
        })
        .unzip();
    // They stay for as long as the call runs.
    origins.shrink_to_fit();
    turns.shrink_to_fit();
    Selected {
        sent: count(turns.len()),
        dropped: count(orphans + left_out),
        unanswered,
        sent_bytes,
        cuts: later_cuts(&cuts, cut),
        turns,
        origins,
    }
}

/// Turns that are taken from their places.
struct Places(Vec<Option<Turn>>);

impl Places {
    fn of(turns: Vec<Turn>) -> Self {
        Self(turns.into_iter().map(Some).collect())
    }

    fn take(&mut self, at: usize) -> Option<Turn> {
        self.0.get_mut(at)?.take()
    }
}

impl Selected {
    /// Leaves the older half out, by bytes, for a provider that says the context is too long. Less than half
    /// when the rules leave no such cut, more when there is none in between; `false`, and nothing changes, when
    /// nothing can be left out at all.
    pub fn halve(&mut self) -> bool {
        let remaining = remaining_bytes(self.turns.iter());
        let half = self.sent_bytes / 2;
        let mut cuts = self.cuts.iter().copied();
        let halving = cuts.find(|cut| remaining[*cut] <= half);
        let Some(cut) = halving.or(self.cuts.last().copied()) else {
            return false;
        };
        self.sent_bytes = remaining[cut];
        self.turns.drain(..cut);
        let stored = self.origins.drain(..cut);
        let stored = stored.filter(|origin| matches!(origin, Origin::Session(_)));
        self.dropped = self.dropped.saturating_add(count(stored.count()));
        self.sent = count(self.turns.len());
        self.cuts = later_cuts(&self.cuts, cut);
        true
    }

    /// What goes into the session with a reply: the missing results, and the input as it came.
    #[must_use]
    pub fn into_said(self) -> Vec<Turn> {
        let sent = self.origins.into_iter().zip(self.turns);
        let mut input: Vec<(usize, Turn)> = sent
            .filter_map(|(origin, turn)| match origin {
                Origin::Input(at) => Some((at, turn)),
                Origin::Session(_) | Origin::Made => None,
            })
            .collect();
        input.sort_unstable_by_key(|(at, _)| *at);
        let mut said = self.unanswered;
        said.extend(input.into_iter().map(|(_, turn)| turn));
        said
    }
}

/// The cuts behind this one, counted from it.
fn later_cuts(cuts: &[usize], cut: usize) -> Box<[usize]> {
    cuts.iter()
        .filter_map(|later| later.checked_sub(cut).filter(|at| *at > 0))
        .collect()
}

/// The places where what is sent may begin, ascending; never empty unless there is nothing at all.
fn cuts(placed: &[Placed<'_>]) -> Vec<usize> {
    // Everything of the input is sent, and with a result its call, wherever that stands.
    let last = placed
        .iter()
        .position(Placed::is_input)
        .map(|first| {
            let is_result = placed[first].turn().role == Role::Tool;
            let call = placed[..first]
                .iter()
                .rposition(|placed| placed.turn().role == Role::Assistant);
            if is_result {
                call.unwrap_or(first)
            } else {
                first
            }
        })
        .unwrap_or(placed.len());
    let begins = |at: usize| {
        let mut from = placed[at..].iter().map(|placed| placed.turn().role);
        let first = from.find(|role| !matches!(role, Role::System | Role::Developer));
        // The operator's rules stay with the turn that they stand before.
        let follows_rules =
            at > 0 && matches!(placed[at - 1].turn().role, Role::System | Role::Developer);
        first == Some(Role::User) && !follows_rules
    };
    let mut cuts: Vec<usize> = (0..placed.len())
        .filter(|at| *at <= last && begins(*at))
        .collect();
    if cuts.is_empty() && !placed.is_empty() {
        // No turn of the user to begin with: the least that can be sent.
        cuts.push(last.min(placed.len() - 1));
    }
    cuts
}

fn count(turns: usize) -> u32 {
    u32::try_from(turns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
