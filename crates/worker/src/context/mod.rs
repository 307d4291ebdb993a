//! Selects the turns that are sent with a job. Pure functions, without I/O.
//!
//! [`select`] arranges the session's turns and the job's input in an order that every provider accepts
//! (`order`). Then it cuts off the oldest turns until the job's bounds hold. More turns are cut off if they exceed the known
//! limit of the model, or if the provider refuses the context as too long. [`SelectedContext::cut_until`] cuts until the turns
//! fit; `limit` estimates from their `size` whether they do. Without a usable estimate, [`SelectedContext::halve`] is used.
//!
//! The rules:
//! - The input is never cut.
//! - The sent turns begin with a user turn, or with system or developer turns directly before one. Turns
//!   before the first such position are left out. So a cut never separates a tool call from its result.
//!   If there is no such position, the shortest context that contains the whole input is sent.
//! - Tool results follow their calls. A call without a result gets the result `"no result"`.
//!   `results` finds the calls that still wait for their results.
//! - When these rules and a bound conflict, the rules hold, and the shortest context that they allow is sent.

pub(crate) mod limit;
mod measure;
mod order;
pub(crate) mod results;
pub(crate) mod size;

use forebay_shared::{
    job::ContextBounds,
    session::TokenMeasure,
    turn::{Role, Turn},
};

use measure::{estimated_tokens, remaining_bytes};
pub(crate) use measure::{overhead_bytes, sent_bytes, turn_bounds};
use order::{OrderedTurn, OrderedTurns, Origin};
use size::InputSize;

/// The turns to send with a job. Each turn is stored only once, because the turns are in memory during the whole call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SelectedContext {
    /// The turns to send, the input among them.
    pub(crate) turns: Vec<Turn>,
    /// How many turns of the session are left out.
    pub(crate) turns_dropped: u32,
    /// The bytes of `turns` as JSON.
    pub(crate) sent_bytes: u64,
    /// The results that the session lacks for the calls of its last reply. They are appended to the
    /// session before the input, so that the stored turns are as valid as the sent ones.
    missing_results: Vec<Turn>,
    /// The indices in `turns` before which more turns can be cut off, ascending, without 0.
    cuts: Box<[usize]>,
    /// For each turn, where it comes from.
    origins: Vec<Origin>,
}

/// Selects the turns of a session that are sent with a job's input.
#[must_use]
pub(crate) fn select(
    session: Vec<Turn>,
    input: Vec<Turn>,
    bounds: &ContextBounds,
    token_measure: Option<TokenMeasure>,
) -> SelectedContext {
    let OrderedTurns {
        turns,
        missing_results,
        orphans,
    } = order::arrange(session, input);
    let cuts = cuts(&turns);
    let remaining = remaining_bytes(turns.iter().map(|ordered| &ordered.turn));
    let fits = |cut: usize| {
        let is_within_turns = bounds
            .max_turns
            .is_none_or(|max| turns.len() - cut <= usize::try_from(max).unwrap_or(usize::MAX));
        let is_within_tokens = bounds
            .max_input_tokens
            .is_none_or(|max| estimated_tokens(remaining[cut], token_measure) <= u64::from(max));
        is_within_turns && is_within_tokens
    };
    let fitting = cuts.iter().copied().find(|cut| fits(*cut));
    let cut = fitting.or(cuts.last().copied()).unwrap_or(0);
    let cut_off = turns[..cut]
        .iter()
        .filter(|ordered| ordered.origin == Origin::Session);
    let turns_dropped = saturating_u32(orphans + cut_off.count());
    let kept = turns.into_iter().skip(cut);
    let (mut origins, mut turns): (Vec<Origin>, Vec<Turn>) = kept
        .map(|OrderedTurn { turn, origin }| (origin, turn))
        .unzip();
    // Both are in memory during the whole call.
    origins.shrink_to_fit();
    turns.shrink_to_fit();
    SelectedContext {
        turns,
        turns_dropped,
        sent_bytes: remaining[cut],
        missing_results,
        cuts: later_cuts(&cuts, cut),
        origins,
    }
}

impl SelectedContext {
    /// How many turns are sent.
    pub(crate) fn turns_sent(&self) -> u32 {
        saturating_u32(self.turns.len())
    }

    /// The size of the turns.
    pub(crate) fn size(&self) -> InputSize {
        let mut size = InputSize::default();
        for turn in &self.turns {
            size.add(InputSize::of_turn(turn));
        }
        size
    }

    /// Leaves out the oldest turns until the size of the others `fits`. Leaves out at least one turn.
    ///
    /// Uses the first allowed cut that fits. If there is none, uses the last allowed cut. Returns `false` and changes nothing
    /// when no turn can be left out.
    pub(crate) fn cut_until(&mut self, fits: impl Fn(InputSize) -> bool) -> bool {
        let mut end = self.turns.len();
        let mut size = InputSize::default();
        let mut fitting = None;
        // The sizes are added up from the last turn, so the last cut is tried first.
        for cut in self.cuts.iter().rev() {
            for turn in &self.turns[*cut..end] {
                size.add(InputSize::of_turn(turn));
            }
            if !fits(size) {
                break;
            }
            (fitting, end) = (Some(*cut), *cut);
        }
        self.cut_off(fitting)
    }

    /// Leaves out the older half of the turns, by bytes. Leaves out at least one turn.
    ///
    /// Uses the first allowed cut that leaves at most half. If there is none, uses the last allowed cut. Returns `false` and
    /// changes nothing when no turn can be left out.
    pub(crate) fn halve(&mut self) -> bool {
        let remaining = remaining_bytes(self.turns.iter());
        let half = self.sent_bytes / 2;
        let mut cuts = self.cuts.iter().copied();
        let halving = cuts.find(|cut| remaining[*cut] <= half);
        self.cut_off(halving)
    }

    /// Leaves out the turns before `cut`. If `cut` is `None`, uses the last allowed cut. Returns whether there was a cut.
    fn cut_off(&mut self, cut: Option<usize>) -> bool {
        let Some(cut) = cut.or(self.cuts.last().copied()) else {
            return false;
        };
        self.turns.drain(..cut);
        self.sent_bytes = sent_bytes(&self.turns);
        let cut_off = self.origins.drain(..cut);
        let from_session = cut_off.filter(|origin| *origin == Origin::Session);
        self.turns_dropped = self
            .turns_dropped
            .saturating_add(saturating_u32(from_session.count()));
        self.cuts = later_cuts(&self.cuts, cut);
        true
    }

    /// The turns that are appended to the session before the reply: the missing results, then the input in
    /// its original order.
    #[must_use]
    pub(crate) fn into_turns_before_reply(self) -> Vec<Turn> {
        let sent = self.origins.into_iter().zip(self.turns);
        let mut input: Vec<(usize, Turn)> = sent
            .filter_map(|(origin, turn)| match origin {
                Origin::Input(index) => Some((index, turn)),
                Origin::Session | Origin::AddedToSession | Origin::AddedToInput => None,
            })
            .collect();
        input.sort_unstable_by_key(|(index, _)| *index);
        let mut turns = self.missing_results;
        turns.extend(input.into_iter().map(|(_, turn)| turn));
        turns
    }
}

/// The cuts after `cut`, relative to it.
fn later_cuts(cuts: &[usize], cut: usize) -> Box<[usize]> {
    cuts.iter()
        .filter_map(|later| later.checked_sub(cut).filter(|index| *index > 0))
        .collect()
}

/// The indices at which the sent turns may begin, ascending. Empty only when there are no turns.
fn cuts(turns: &[OrderedTurn]) -> Vec<usize> {
    let role = |index: usize| &turns[index].turn.role;
    let is_instruction = |role: &Role| matches!(role, Role::System | Role::Developer);
    // The whole input is sent. If it begins with a tool result, the reply with the tool call is sent too. Without an input, the
    // model answers the last turn.
    let first_input = turns.iter().position(|ordered| ordered.origin.is_input());
    let last_cut = match first_input.or(turns.len().checked_sub(1)) {
        None => turns.len(),
        Some(first) if *role(first) == Role::Tool => (0..first)
            .rfind(|index| *role(*index) == Role::Assistant)
            .unwrap_or(first),
        Some(first) => first,
    };
    let can_begin = |index: usize| {
        let first_other = (index..turns.len())
            .map(role)
            .find(|role| !is_instruction(role));
        // System and developer turns stay with the user turn that follows them.
        let follows_instruction = index > 0 && is_instruction(role(index - 1));
        first_other == Some(&Role::User) && !follows_instruction
    };
    let mut cuts: Vec<usize> = (0..turns.len())
        .filter(|index| *index <= last_cut && can_begin(*index))
        .collect();
    if cuts.is_empty() && !turns.is_empty() {
        // No position satisfies the rule, so the shortest context that contains the whole input is sent.
        cuts.push(last_cut.min(turns.len() - 1));
    }
    cuts
}

fn saturating_u32(turns: usize) -> u32 {
    u32::try_from(turns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
