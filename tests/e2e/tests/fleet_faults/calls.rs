//! Who asked the provider for each turn, in which order. Workers that a test must tell apart show keys of
//! their own.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use e2e::fleet::LIMIT;
use scripted_provider::{Recorded, ScriptedLlm};

/// The calls of each turn so far. It keeps what it has seen: the record of a load is long, and is looked at
/// after each call.
#[derive(Default)]
pub(crate) struct Calls {
    looked_at: usize,
    /// The key of who asked first, and how often it was asked.
    by_turn: HashMap<String, (String, usize)>,
    /// For each key, the turns that it asked for first and another later.
    taken_over: HashMap<String, usize>,
}

impl Calls {
    pub(crate) fn of(llm: &ScriptedLlm) -> Self {
        let mut calls = Self::default();
        calls.look_at(&llm.recorded());
        calls
    }

    /// Takes in what has come since the last look.
    pub(crate) fn look_at(&mut self, records: &[Recorded]) {
        for record in &records[self.looked_at..] {
            let turn = record.request.last_user_text();
            let caller = record.request.key().unwrap_or_default();
            let fresh = || (caller.to_owned(), 0);
            let (first, count) = self.by_turn.entry(turn).or_insert_with(fresh);
            *count += 1;
            if *count == 2 && first != caller {
                *self.taken_over.entry(first.clone()).or_default() += 1;
            }
        }
        self.looked_at = records.len();
    }

    /// How many turns were asked for more than once.
    pub(crate) fn asked_again(&self) -> usize {
        self.by_turn
            .values()
            .filter(|(_, count)| *count > 1)
            .count()
    }

    /// How many turns were asked for by the worker of this key, and then by another.
    pub(crate) fn taken_over_from(&self, key: &str) -> usize {
        self.taken_over.get(key).copied().unwrap_or(0)
    }
}

/// Waits until others have asked for so many turns that the worker of this key had asked for.
pub(crate) async fn are_taken_over(llm: &ScriptedLlm, key: &str, count: usize) {
    let calls = RefCell::new(Calls::default());
    let what = format!("{count} calls of others for the jobs of {key}");
    let taken_over = |records: &[Recorded]| {
        let mut calls = calls.borrow_mut();
        calls.look_at(records);
        calls.taken_over_from(key) >= count
    };
    llm.wait_for_within(LIMIT, &what, taken_over).await;
}

/// Fails if any turn was asked for more than once.
pub(crate) fn assert_asked_once(llm: &ScriptedLlm) {
    let mut calls = Calls::of(llm);
    calls.by_turn.retain(|_, (_, count)| *count > 1);
    let again: BTreeMap<_, _> = calls.by_turn.iter().collect();
    assert!(again.is_empty(), "asked for more than once: {again:?}");
    assert_eq!(llm.refusals(), Vec::<String>::new());
}
