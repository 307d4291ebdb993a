//! Counts the calls for each turn that the provider got, and finds the worker of each call. The API key of a call
//! identifies the worker (`workers`).

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use e2e::fleet::LIMIT;
use scripted_provider::{Recorded, ScriptedLlm};

/// The calls for each turn so far. [`wait_for_takeovers`] updates the counts after each call, so an update looks only
/// at requests that it has not counted yet.
#[derive(Default)]
pub(crate) struct CallCounts {
    requests_counted: usize,
    /// For each turn, the API key of the first call and the number of calls.
    by_turn: HashMap<String, (String, usize)>,
    /// For each API key, the number of turns whose first call used it and whose second call used another key.
    taken_over: HashMap<String, usize>,
}

impl CallCounts {
    /// Counts all calls so far.
    pub(crate) fn of(llm: &ScriptedLlm) -> Self {
        let mut calls = Self::default();
        calls.update(&llm.recorded());
        calls
    }

    /// Counts the requests that have arrived since the last update.
    pub(crate) fn update(&mut self, records: &[Recorded]) {
        for record in &records[self.requests_counted..] {
            let turn = record.request.last_user_text();
            let caller = record.request.key().unwrap_or_default();
            let first_call = || (caller.to_owned(), 0);
            let (first, count) = self.by_turn.entry(turn).or_insert_with(first_call);
            *count += 1;
            if *count == 2 && first != caller {
                *self.taken_over.entry(first.clone()).or_default() += 1;
            }
        }
        self.requests_counted = records.len();
    }

    /// The number of turns with more than one call.
    pub(crate) fn repeated_turns(&self) -> usize {
        self.by_turn
            .values()
            .filter(|(_, count)| *count > 1)
            .count()
    }

    /// The number of turns whose first call came from the worker with this key, and whose second call from another
    /// worker.
    pub(crate) fn takeovers_from(&self, key: &str) -> usize {
        self.taken_over.get(key).copied().unwrap_or(0)
    }
}

/// Waits until other workers have repeated the calls for `count` turns of the worker with this key.
pub(crate) async fn wait_for_takeovers(llm: &ScriptedLlm, key: &str, count: usize) {
    let calls = RefCell::new(CallCounts::default());
    let description =
        format!("other workers' calls for {count} turns of the worker with the key {key}");
    let taken_over = |records: &[Recorded]| {
        let mut calls = calls.borrow_mut();
        calls.update(records);
        calls.takeovers_from(key) >= count
    };
    llm.wait_for_within(LIMIT, &description, taken_over).await;
}

/// Asserts that the provider got one call for each turn, and refused none.
pub(crate) fn assert_one_call_per_turn(llm: &ScriptedLlm) {
    let mut calls = CallCounts::of(llm);
    calls.by_turn.retain(|_, (_, count)| *count > 1);
    let repeated: BTreeMap<_, _> = calls.by_turn.iter().collect();
    assert!(
        repeated.is_empty(),
        "turns with more than one call: {repeated:?}"
    );
    assert_eq!(llm.refusals(), Vec::<String>::new());
}
