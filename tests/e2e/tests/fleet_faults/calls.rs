//! Which workers called the provider for each turn, and in which order. A worker is identified by its API key.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use e2e::fleet::LIMIT;
use scripted_provider::{Recorded, ScriptedLlm};

/// The calls for each turn so far. It is updated with new records only, because the record of a load is long and is
/// checked after each call.
#[derive(Default)]
pub(crate) struct Calls {
    /// The number of records that are counted already.
    counted: usize,
    /// For each turn, the key of the first caller and the number of calls.
    by_turn: HashMap<String, (String, usize)>,
    /// For each key, the number of turns that it called for first and another key later.
    taken_over: HashMap<String, usize>,
}

impl Calls {
    pub(crate) fn of(llm: &ScriptedLlm) -> Self {
        let mut calls = Self::default();
        calls.update(&llm.recorded());
        calls
    }

    /// Counts the records since the last call.
    pub(crate) fn update(&mut self, records: &[Recorded]) {
        for record in &records[self.counted..] {
            let turn = record.request.last_user_text();
            let caller = record.request.key().unwrap_or_default();
            let fresh = || (caller.to_owned(), 0);
            let (first, count) = self.by_turn.entry(turn).or_insert_with(fresh);
            *count += 1;
            if *count == 2 && first != caller {
                *self.taken_over.entry(first.clone()).or_default() += 1;
            }
        }
        self.counted = records.len();
    }

    /// The number of turns with more than one call.
    pub(crate) fn called_again(&self) -> usize {
        self.by_turn
            .values()
            .filter(|(_, count)| *count > 1)
            .count()
    }

    /// The number of turns that the worker with this key called for first, and another worker later.
    pub(crate) fn taken_over_from(&self, key: &str) -> usize {
        self.taken_over.get(key).copied().unwrap_or(0)
    }
}

/// Waits until other workers have called for `count` turns of the worker with this key.
pub(crate) async fn wait_until_taken_over(llm: &ScriptedLlm, key: &str, count: usize) {
    let calls = RefCell::new(Calls::default());
    let what = format!("{count} calls of others for the jobs of {key}");
    let taken_over = |records: &[Recorded]| {
        let mut calls = calls.borrow_mut();
        calls.update(records);
        calls.taken_over_from(key) >= count
    };
    llm.wait_for_within(LIMIT, &what, taken_over).await;
}

/// # Panics
/// If there was more than one call for a turn.
pub(crate) fn assert_called_once(llm: &ScriptedLlm) {
    let mut calls = Calls::of(llm);
    calls.by_turn.retain(|_, (_, count)| *count > 1);
    let again: BTreeMap<_, _> = calls.by_turn.iter().collect();
    assert!(again.is_empty(), "called for more than once: {again:?}");
    assert_eq!(llm.refusals(), Vec::<String>::new());
}
