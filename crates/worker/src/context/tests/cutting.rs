//! The rules of cuts after a refusal or for a known limit, by example and by property.

use forebay_shared::turn::{Role, Turn};
use proptest::prelude::*;

use super::{any_turns, bounds, check_order, is_instruction, select, sent_bytes, turns};
use crate::context::{SelectedContext, size::InputSize};

fn selected(session: &str, input: &str) -> SelectedContext {
    select(turns(session), turns(input), &bounds(None, None), None)
}

/// The pieces of these turns.
fn pieces(words: &str) -> u64 {
    let sizes = turns(words)
        .iter()
        .map(InputSize::of_turn)
        .collect::<Vec<_>>();
    sizes.iter().map(|size| size.pieces).sum()
}

#[test]
fn the_first_cut_that_fits_is_used() {
    for (session, input, fitting, sent, dropped) in [
        ("u1 a1 u2 a2", "u3", "u2 a2 u3", "u2 a2 u3", 2),
        // `a1` would fit too, but no cut is allowed before it.
        ("u1 a1 u2 a2", "u3", "a1 u2 a2 u3", "u2 a2 u3", 2),
        // A call stays with its result, and both stay with the user turn before them.
        ("u1 a1 u2 cx", "rx", "u2 cx rx", "u2 cx rx", 2),
        ("u1 a1 u2 cx", "rx", "rx", "u2 cx rx", 2),
        ("u1 cx rx a1", "u2", "cx rx a1 u2", "u2", 4),
        // The input is never cut.
        ("u1 a1", "u2 u3", "u3", "u2 u3", 2),
    ] {
        let mut context = selected(session, input);
        let max = pieces(fitting);
        let case = format!("{session} | {input}, fitting {fitting}");
        assert!(context.cut_until(|size| size.pieces <= max), "{case}");
        assert_eq!(context.turns, turns(sent), "{case}");
        assert_eq!(context.turns_dropped, dropped, "{case}");
    }
}

#[test]
fn at_least_one_turn_is_left_out() {
    let mut context = selected("u1 a1 u2 a2", "u3");
    assert!(context.cut_until(|_| true));
    assert_eq!(context.turns, turns("u2 a2 u3"));
    let mut shortest = selected("", "u1");
    assert!(!shortest.cut_until(|_| false));
    assert_eq!(shortest, selected("", "u1"));
}

/// The context after a cut to at most `max` pieces.
fn cut(context: &SelectedContext, max: u64) -> SelectedContext {
    let mut cut = context.clone();
    let is_shorter = cut.cut_until(|size| size.pieces <= max);
    assert_eq!(is_shorter, cut != *context);
    cut
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 1_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_cut_follows_the_rules(
        session in any_turns(25),
        input in any_turns(5),
        max in 0_u64..200,
    ) {
        prop_assume!(!input.is_empty());
        let whole = select(session, input.clone(), &bounds(None, None), None);
        let cut = cut(&whole, max);

        // No result is without its call, and no call without its result.
        let is_result = |turn: &&Turn| turn.role == Role::Tool;
        let foreign: Vec<Turn> = input.iter().filter(is_result).cloned().collect();
        check_order(&cut.turns, &foreign)?;

        // The last user message and all that follows is sent, and the whole input.
        prop_assert!(whole.turns.ends_with(&cut.turns));
        let last_user = whole.turns.iter().rposition(|turn| turn.role == Role::User);
        if let Some(last_user) = last_user {
            prop_assert!(cut.turns.len() >= whole.turns.len() - last_user);
        }
        let appended = whole.clone().into_turns_before_reply();
        prop_assert_eq!(cut.clone().into_turns_before_reply(), appended);

        // The sent turns begin with a user turn wherever the rules allow it.
        let first = cut.turns.iter().find(|turn| !is_instruction(turn));
        let begins_with_user = first.is_some_and(|turn| turn.role == Role::User);
        prop_assert!(begins_with_user || cut.cuts.is_empty());

        // The context fits, or no shorter one is allowed.
        prop_assert!(cut.size().pieces <= max || cut.cuts.is_empty());
        prop_assert_eq!(cut.sent_bytes, sent_bytes(&cut.turns));
    }

    #[test]
    fn a_lower_bound_never_sends_more(
        session in any_turns(25),
        input in any_turns(5),
        low in 0_u64..200,
        more in 0_u64..50,
    ) {
        prop_assume!(!input.is_empty());
        let whole = select(session, input, &bounds(None, None), None);
        let (shorter, longer) = (cut(&whole, low), cut(&whole, low + more));
        prop_assert!(longer.turns.ends_with(&shorter.turns));
        prop_assert!(longer.turns_dropped <= shorter.turns_dropped);
    }
}
