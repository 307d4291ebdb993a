//! Counts the calls for each turn that the provider got, and finds the worker of each call. The API key of a call
//! identifies the worker (see `workers`).

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
};

use e2e::fleet::TIMEOUT;
use scripted_provider::{Recorded, ScriptedLlm};

/// The calls of one worker that were in flight when a fault hit the worker.
pub(crate) struct CallsInFlight {
    /// The worker's API key.
    key: String,
    /// For each turn, the index of its call in the provider's list of records.
    calls: HashMap<String, usize>,
}

impl CallsInFlight {
    /// The calls in flight of the worker with this key. Call it right after the fault.
    pub(crate) fn of(llm: &ScriptedLlm, key: &str) -> Self {
        let records = llm.recorded();
        let is_in_flight = |(_, record): &(usize, &Recorded)| {
            record.is_in_flight() && record.request.key() == Some(key)
        };
        let calls = records.iter().enumerate().filter(is_in_flight);
        Self {
            key: key.to_owned(),
            calls: calls.map(|(n, record)| (turn(record), n)).collect(),
        }
    }

    /// Waits until other workers have repeated `count` of the calls.
    pub(crate) async fn wait_for_takeovers(&self, llm: &ScriptedLlm, count: usize) {
        let what = format!("{count} calls of {} repeated by other workers", self.key);
        // Each record is read once, because a load has many records.
        let first = self.calls.values().min().copied().unwrap_or_default();
        let progress = RefCell::new((first, HashSet::new()));
        let enough = |records: &[Recorded]| {
            let (records_read, taken_over) = &mut *progress.borrow_mut();
            for (n, record) in records.iter().enumerate().skip(*records_read) {
                let turn = turn(record);
                if record.request.key() != Some(&self.key)
                    && self.calls.get(&turn).is_some_and(|call| n > *call)
                {
                    taken_over.insert(turn);
                }
            }
            *records_read = records.len();
            taken_over.len() >= count
        };
        llm.wait_for_within(TIMEOUT, &what, enough).await;
    }
}

/// The number of turns with more than one call.
pub(crate) fn repeated_turns(llm: &ScriptedLlm) -> usize {
    counts_of_repeated_turns(llm).len()
}

/// Asserts that the provider got one call for each turn, and refused none.
pub(crate) fn assert_one_call_per_turn(llm: &ScriptedLlm) {
    let repeated = counts_of_repeated_turns(llm);
    assert!(
        repeated.is_empty(),
        "turns with more than one call: {repeated:?}"
    );
    assert_eq!(llm.refusals(), Vec::<String>::new());
}

/// For each turn with more than one call, the number of its calls.
fn counts_of_repeated_turns(llm: &ScriptedLlm) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in llm.recorded() {
        *counts.entry(turn(&record)).or_default() += 1;
    }
    counts.retain(|_, count| *count > 1);
    counts
}

/// The text of a call's turn. It identifies the turn, because no two turns of a test have the same text.
fn turn(record: &Recorded) -> String {
    record.request.last_user_text()
}
