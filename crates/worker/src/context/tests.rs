//! The rules of context selection, by example and by property.

use forebay_shared::{
    document::UnknownFields,
    job::ContextBounds,
    session::TokenMeasure,
    turn::{FunctionCall, Role, ToolCall, ToolKind, Turn},
};
use proptest::prelude::*;

use super::{select, sent_bytes};

mod cutting;

fn turn(word: &str) -> Turn {
    let (kind, text) = word.split_at(1);
    match kind {
        "s" => Turn::text(Role::System, text),
        "u" => Turn::text(Role::User, text),
        "a" => Turn::text(Role::Assistant, text),
        "c" => calls(&text.chars().map(String::from).collect::<Vec<_>>()),
        "r" => result(text, "done"),
        "n" => result(text, "no result"),
        _ => panic!("unknown turn: {word}"),
    }
}

/// A conversation, one word for each turn: `s1` is a system turn, `u1` a user turn, `a1` a reply, `cxy` a
/// reply that calls the tools x and y, `rx` the result of x, and `nx` the added "no result" of x.
pub(super) fn turns(words: &str) -> Vec<Turn> {
    words.split_whitespace().map(turn).collect()
}

fn calls(ids: &[String]) -> Turn {
    Turn {
        content: None,
        tool_calls: ids
            .iter()
            .map(|id| ToolCall {
                id: id.clone(),
                kind: ToolKind::Function,
                function: FunctionCall {
                    name: String::from("f"),
                    arguments: String::from("{}"),
                    unknown: UnknownFields::NONE,
                },
                extra_content: None,
                unknown: UnknownFields::NONE,
            })
            .collect(),
        ..Turn::text(Role::Assistant, "")
    }
}

fn result(id: &str, text: &str) -> Turn {
    Turn {
        tool_call_id: Some(id.to_owned()),
        ..Turn::text(Role::Tool, text)
    }
}

fn bounds(max_turns: Option<u32>, max_input_tokens: Option<u32>) -> ContextBounds {
    ContextBounds {
        max_turns,
        max_input_tokens,
        unknown: UnknownFields::NONE,
    }
}

#[test]
fn the_selected_turns_follow_the_rules_and_the_bound() {
    for (session, input, max_turns, sent, dropped, missing) in [
        // Without a bound everything is sent.
        ("", "u1", None, "u1", 0, ""),
        ("u1 a1 u2 a2", "u3", None, "u1 a1 u2 a2 u3", 0, ""),
        // The sent turns begin with a user turn, or with the system turns before it.
        ("a0 u1 a1", "u2", None, "u1 a1 u2", 1, ""),
        ("s1 u1 a1", "u2", None, "s1 u1 a1 u2", 0, ""),
        ("a0 s1 u1 a1", "u2", None, "s1 u1 a1 u2", 1, ""),
        ("a0", "s1 u1", None, "s1 u1", 1, ""),
        // Cuts are before user turns, and the input counts towards the bound.
        ("u1 a1 u2 a2", "u3", Some(5), "u1 a1 u2 a2 u3", 0, ""),
        ("u1 a1 u2 a2", "u3", Some(4), "u2 a2 u3", 2, ""),
        ("u1 a1 u2 a2", "u3", Some(3), "u2 a2 u3", 2, ""),
        ("u1 a1 u2 a2", "u3", Some(2), "u3", 4, ""),
        ("u1 a1 u2 a2", "u3", Some(1), "u3", 4, ""),
        // The input is never cut.
        ("u1 a1", "u2 u3 u4", Some(1), "u2 u3 u4", 2, ""),
        // A cut never separates a call from its result.
        ("u1 cx rx a1", "u2", Some(4), "u2", 4, ""),
        ("u1 a1 u2 cx", "rx", Some(1), "u2 cx rx", 2, ""),
        ("u1 a1 u2 cx rx cy", "ry", Some(2), "u2 cx rx cy ry", 2, ""),
        ("a1 cx", "rx", None, "cx rx", 1, ""),
        // Without an input, the model answers the last turn.
        ("u1 a1 u2", "", None, "u1 a1 u2", 0, ""),
        ("u1 a1 u2", "", Some(1), "u2", 2, ""),
        ("u1 cx rx", "", Some(1), "u1 cx rx", 0, ""),
        ("a0 cx rx", "", None, "cx rx", 1, ""),
        ("cxy rx ry", "", Some(1), "cxy rx ry", 0, ""),
        // Calls without a result.
        ("u1 cxy", "rx", None, "u1 cxy rx ny", 0, "ny"),
        ("u1 cxy", "u2", None, "u1 cxy nx ny u2", 0, "nx ny"),
        ("u1 cxy", "u2", Some(1), "u2", 2, "nx ny"),
        ("u1 cxy rx", "u2", None, "u1 cxy rx ny u2", 0, "ny"),
        ("u1 cxy", "ry rx u2", None, "u1 cxy rx ry u2", 0, ""),
        // The message of an interrupted job is between a call and its result.
        ("u1 cx u2", "u3", None, "u1 cx nx u2 u3", 0, "nx"),
        ("u1 cxy rx u2", "u3", None, "u1 cxy rx ny u2 u3", 0, "ny"),
        ("u1 cx u2 a1", "u3", None, "u1 cx nx u2 a1 u3", 0, ""),
        (
            "u1 cx u2 nx u3 a1",
            "u4",
            None,
            "u1 cx nx u2 u3 a1 u4",
            0,
            "",
        ),
        ("u1 cx u2", "rx", None, "u1 cx rx u2", 0, ""),
        // Results whose calls are missing.
        ("rx u1 a1", "u2", None, "u1 a1 u2", 1, ""),
        ("u1 a1", "rz", None, "u1 a1 rz", 0, ""),
        // An id that two replies use.
        (
            "u1 cx rx cx rx a1",
            "u2",
            None,
            "u1 cx rx cx rx a1 u2",
            0,
            "",
        ),
        ("u1 cx cx rx a1", "u2", None, "u1 cx nx cx rx a1 u2", 0, ""),
    ] {
        let selected = select(turns(session), turns(input), &bounds(max_turns, None), None);
        let case = format!("{session} | {input}, at most {max_turns:?}");
        assert_eq!(selected.turns, turns(sent), "case: {case}");
        assert_eq!(selected.turns_dropped, dropped, "case: {case}");
        assert_eq!(selected.missing_results, turns(missing), "case: {case}");
        assert_eq!(
            selected.sent_bytes,
            sent_bytes(&selected.turns),
            "case: {case}"
        );
        let appended = [turns(missing), turns(input)].concat();
        assert_eq!(selected.into_turns_before_reply(), appended, "case: {case}");
    }
}

#[test]
fn tokens_are_bounded_by_the_estimate() {
    let session = turns("u1 a1 u2 a2");
    let input = turns("u3");
    let all = sent_bytes(&session) + sent_bytes(&input);
    let last = sent_bytes(&session[2..]) + sent_bytes(&input);
    let sent = |max: u64, token_measure| {
        let max = u32::try_from(max).expect("the number is small");
        select(
            session.clone(),
            input.clone(),
            &bounds(None, Some(max)),
            token_measure,
        )
        .turns_sent()
    };
    assert_eq!(sent(all.div_ceil(4), None), 5);
    assert_eq!(sent(all.div_ceil(4) - 1, None), 3);
    assert_eq!(sent(1, None), 1);
    // The provider counted ten tokens for each byte.
    let token_measure = Some(TokenMeasure {
        sent_bytes: 10,
        input_tokens: 100,
    });
    assert_eq!(sent(all * 10, token_measure), 5);
    assert_eq!(sent(last * 10, token_measure), 3);
    assert_eq!(sent(last * 10 - 1, token_measure), 1);
}

#[test]
fn halving_leaves_out_the_older_half_of_the_turns() {
    let mut half = select(
        turns("u1 a1 u2 a2 u3 a3"),
        turns("u4"),
        &bounds(None, None),
        None,
    );
    assert!(half.halve());
    assert_eq!(
        (half.turns.clone(), half.turns_sent(), half.turns_dropped),
        (turns("u3 a3 u4"), 3, 4)
    );
    let mut quarter = half.clone();
    assert!(quarter.halve());
    assert_eq!(
        (quarter.turns.clone(), quarter.turns_dropped),
        (turns("u4"), 6)
    );
    let before = quarter.clone();
    assert!(!quarter.halve());
    assert_eq!(quarter, before);

    // One long old turn is more than half of the bytes. A context that cannot be halved is cut as far as possible.
    let long = Turn::text(Role::User, "x".repeat(1_000));
    let session = [vec![long], turns("a1 u2 a2")].concat();
    let mut selected = select(session, turns("u3"), &bounds(None, None), None);
    assert!(selected.halve());
    assert_eq!(selected.turns, turns("u2 a2 u3"));
    let long_input = vec![Turn::text(Role::User, "x".repeat(1_000))];
    let session = turns("u1 a1 u2 a2");
    let mut selected = select(session, long_input.clone(), &bounds(None, None), None);
    assert!(selected.halve());
    assert_eq!(selected.turns, long_input);
    assert_eq!(selected.into_turns_before_reply(), long_input);
}

/// Any turns in any order, also orders that no client should send.
fn any_turns(max: usize) -> impl Strategy<Value = Vec<Turn>> {
    let id = prop::sample::select(vec!["w", "x", "y", "z"]);
    let any_turn = prop_oneof![
        4 => "[a-z]{0,30}".prop_map(|text| Turn::text(Role::User, text)),
        3 => "[a-z]{0,30}".prop_map(|text| Turn::text(Role::Assistant, text)),
        1 => Just(Turn::text(Role::System, "rule")),
        2 => prop::sample::subsequence(vec!["w", "x", "y", "z"], 1..=3)
            .prop_map(|ids| calls(&ids.into_iter().map(String::from).collect::<Vec<_>>())),
        4 => id.prop_map(|id| result(id, "done")),
    ];
    prop::collection::vec(any_turn, 0..max)
}

fn any_bounds() -> impl Strategy<Value = ContextBounds> {
    (prop::option::of(1_u32..20), prop::option::of(1_u32..400))
        .prop_map(|(max_turns, max_input_tokens)| bounds(max_turns, max_input_tokens))
}

fn is_instruction(turn: &Turn) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

/// Checks that each reply is followed by one result for each of its calls, and that there are no other results. Results in
/// the input that belong to no call (`foreign`) may be anywhere.
fn check_order(sent: &[Turn], foreign: &[Turn]) -> Result<(), TestCaseError> {
    let mut index = 0;
    while index < sent.len() {
        let turn = &sent[index];
        index += 1;
        prop_assert!(
            turn.role != Role::Tool || foreign.contains(turn),
            "a result without a call"
        );
        for call in &turn.tool_calls {
            let found = sent
                .get(index)
                .and_then(|turn| turn.tool_call_id.as_deref());
            prop_assert_eq!(found, Some(call.id.as_str()));
            index += 1;
        }
    }
    Ok(())
}

/// The turns without the results that follow no call.
fn without_foreign(sent: &[Turn]) -> Vec<Turn> {
    let mut kept: Vec<Turn> = Vec::new();
    let mut expected: usize = 0;
    for turn in sent {
        if turn.role != Role::Tool {
            expected = turn.tool_calls.len();
        } else if expected == 0 {
            continue;
        } else {
            expected -= 1;
        }
        kept.push(turn.clone());
    }
    kept
}

/// How many turns of the session are sent.
fn session_turns_in(selected: &super::SelectedContext) -> u32 {
    let origins = selected.origins.iter();
    let sent = origins.filter(|origin| **origin == super::Origin::Session);
    u32::try_from(sent.count()).expect("the number is small")
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 1_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_selection_follows_the_rules(
        session in any_turns(25),
        input in any_turns(5),
        bounds in any_bounds(),
    ) {
        prop_assume!(!input.is_empty());
        let foreign: Vec<Turn> =
            input.iter().filter(|turn| turn.role == Role::Tool).cloned().collect();
        let mut selected = Some(select(session.clone(), input.clone(), &bounds, None));
        let mut longer: Option<super::SelectedContext> = None;
        while let Some(current) = selected {
            check_order(&current.turns, &foreign)?;
            prop_assert_eq!(current.sent_bytes, sent_bytes(&current.turns));
            prop_assert!(current.turns_dropped as usize <= session.len());

            // The whole input is sent.
            for turn in &input {
                let count = |turns: &[Turn]| turns.iter().filter(|other| *other == turn).count();
                prop_assert!(count(&current.turns) >= count(&input));
            }

            // The sent turns begin with a user turn wherever the rules allow it.
            let begins_with_user = current.turns.iter().find(|turn| !is_instruction(turn))
                .is_some_and(|turn| turn.role == Role::User);
            prop_assert!(begins_with_user || current.cuts.is_empty());

            // A halved selection is the end of the selection before it.
            if let Some(longer) = &longer {
                prop_assert!(longer.turns.ends_with(&current.turns));
                prop_assert!(current.turns.len() < longer.turns.len());
                prop_assert_eq!(current.turns_dropped - longer.turns_dropped,
                    session_turns_in(longer) - session_turns_in(&current));
            } else if !current.cuts.is_empty() {
                // More turns could be cut off, so the bounds hold.
                prop_assert!(bounds.max_turns.is_none_or(|max| current.turns_sent() <= max));
                prop_assert!(bounds.max_input_tokens
                    .is_none_or(|max| current.sent_bytes.div_ceil(4) <= u64::from(max)));
            }
            // The turns that are appended to the session do not depend on the cut.
            let appended = [current.missing_results.clone(), input.clone()].concat();
            prop_assert_eq!(current.clone().into_turns_before_reply(), appended);

            let mut shorter = current.clone();
            selected = shorter.halve().then_some(shorter);
            longer = Some(current);
        }
    }

    #[test]
    fn the_stored_session_needs_no_more_added_results(
        session in any_turns(25),
        input in any_turns(5),
    ) {
        prop_assume!(!input.is_empty());
        let first = select(session.clone(), input, &bounds(None, None), None);
        let stored = [session, first.clone().into_turns_before_reply(), turns("a9")].concat();
        let next = select(stored, turns("u9"), &bounds(None, None), None);
        prop_assert_eq!(next.missing_results, vec![]);
        // The next call sends the same turns in the same order, so a provider's prompt cache stays valid.
        let begins_with_user = first.turns.iter().find(|turn| !is_instruction(turn))
            .is_some_and(|turn| turn.role == Role::User);
        if begins_with_user {
            let expected = [without_foreign(&first.turns), turns("a9 u9")].concat();
            prop_assert_eq!(next.turns, expected);
        }
    }
}
