//! The search: forward over every state that can be reached, then backward from the states in which every job has ended.
//!
//! The forward search checks safety for each state and each step. The backward search checks liveness: from every state,
//! dependable steps must lead to a state in which every accepted job has ended. The field
//! `is_dependable` of [`Step`](crate::steps::Step) defines which steps are dependable.

use std::{fmt::Write as _, time::Instant};

use crate::{
    canonical::canonical,
    check::violated_invariant,
    configuration::Configuration,
    hash,
    state::{PublisherPhase, SlotPhase, State},
    steps::Model,
};

/// The maximum number of states in a search. More states would exceed the memory budget.
const STATES_MAX: usize = 30_000_000;

/// The result of a search.
pub(crate) struct SearchResult {
    pub(crate) states: usize,
    pub(crate) transitions: u64,
    /// The violated invariant, and the steps that lead there.
    pub(crate) violation: Option<String>,
    /// A state from which some job cannot end, and the steps that lead there.
    pub(crate) stuck: Option<String>,
    pub(crate) seconds: f64,
}

/// Searches all states of a configuration. The search stops at the first violation.
pub(crate) fn search(configuration: Configuration) -> SearchResult {
    let began = Instant::now();
    let mut graph = Graph::new(configuration);
    let violation = graph.explore();
    let stuck = match violation {
        Some(_) => None,
        None => graph.stuck().map(|number| graph.trace_to(number)),
    };
    SearchResult {
        states: graph.states.len(),
        transitions: graph.transitions,
        violation,
        stuck,
        seconds: began.elapsed().as_secs_f64(),
    }
}

struct Graph {
    model: Model,
    states: Vec<State>,
    /// For each state, the state from which it was first reached.
    parents: Vec<u32>,
    index: StateIndex,
    /// The targets of all dependable steps, state after state.
    targets: Vec<u32>,
    /// For each state, the index of its first target in `targets`.
    first_target: Vec<usize>,
    transitions: u64,
}

impl Graph {
    fn new(configuration: Configuration) -> Self {
        let first = State {
            faults_left: configuration.faults,
            ..State::default()
        };
        let mut graph = Self {
            model: Model::new(configuration),
            states: Vec::new(),
            parents: Vec::new(),
            index: StateIndex::new(),
            targets: Vec::new(),
            first_target: Vec::new(),
            transitions: 0,
        };
        graph.index.find_or_add(&first, &mut graph.states);
        graph.parents.push(0);
        graph
    }

    /// Visits every state that can be reached. Returns the first violation, with the steps that lead there.
    fn explore(&mut self) -> Option<String> {
        let mut number = 0;
        while number < self.states.len() {
            assert!(
                self.states.len() < STATES_MAX,
                "the configuration has more than {STATES_MAX} states"
            );
            let state = self.states[number];
            if let Some(violation) = violated_invariant(&state) {
                return Some(format!("{violation}\n{}", self.trace_to(number)));
            }
            self.first_target.push(self.targets.len());
            let configuration = self.model.configuration;
            let steps = match self.model.steps(&state) {
                Ok(steps) => steps,
                Err(violation) => return Some(format!("{violation}\n{}", self.trace_to(number))),
            };
            for step in steps {
                self.transitions += 1;
                let to = canonical(&step.to, &configuration);
                let (target, is_new) = self.index.find_or_add(&to, &mut self.states);
                if is_new {
                    self.parents.push(number as u32);
                }
                if step.is_dependable && target as usize != number {
                    self.targets.push(target);
                }
            }
            number += 1;
        }
        self.first_target.push(self.targets.len());
        None
    }

    /// The number of the first state from which some job cannot end.
    fn stuck(&self) -> Option<usize> {
        let have_ended = self.states.iter().map(State::all_jobs_have_ended);
        let mut can_end: Vec<bool> = have_ended.collect();
        assert!(can_end.iter().any(|can_end| *can_end), "no job ever ends");
        let mut changed = true;
        while changed {
            changed = false;
            // The last state comes first, because most steps lead to states that were found later.
            for number in (0..can_end.len()).rev() {
                let targets = self.first_target[number]..self.first_target[number + 1];
                let mut targets = self.targets[targets].iter();
                if !can_end[number] && targets.any(|target| can_end[*target as usize]) {
                    can_end[number] = true;
                    changed = true;
                }
            }
        }
        can_end.iter().position(|can_end| !can_end)
    }

    /// The steps from the first state to this one, as text.
    fn trace_to(&mut self, number: usize) -> String {
        let mut path = vec![number];
        while path[path.len() - 1] != 0 {
            path.push(self.parents[path[path.len() - 1]] as usize);
        }
        path.reverse();
        let configuration = self.model.configuration;
        let mut text = String::new();
        for pair in path.windows(2) {
            let (from, to) = (self.states[pair[0]], self.states[pair[1]]);
            let steps = self.model.steps(&from).unwrap_or_default();
            let step = steps
                .iter()
                .find(|step| canonical(&step.to, &configuration) == to);
            let (label, job) = step.map_or(("?", 0), |step| (step.label, step.job));
            let _ = writeln!(text, "  {label} (job {job})\n      {}", describe(&to));
        }
        text
    }
}

/// Describes a state in one line.
fn describe(state: &State) -> String {
    let mut text = String::new();
    for entry in state.lane.entries() {
        let stored = state.job(entry.job);
        let _ = write!(
            text,
            "[job {} {:?} fence {} settled fence {} timer {:?} wakes {}] ",
            entry.job, entry.state, entry.fence, entry.settled_fence, stored.timer, stored.wakes
        );
    }
    for (index, slot) in state.slots.iter().enumerate() {
        if slot.phase != SlotPhase::Idle {
            let _ = write!(
                text,
                "| slot {index} {:?} job {} fence {} is_newest_attempt {} has_all_turns {} ",
                slot.phase, slot.job, slot.fence, slot.is_newest_attempt, slot.has_all_turns
            );
        }
    }
    let mut publishers = *state;
    for publisher in publishers.publishers_mut() {
        if publisher.phase != PublisherPhase::Idle {
            let _ = write!(
                text,
                "| publisher {:?} job {} timer_is_unchanged {} ",
                publisher.phase, publisher.job, publisher.timer_is_unchanged
            );
        }
    }
    text
}

/// A hash table from states to their numbers, with open addressing. It stores only the numbers, because the states are in
/// [`Graph::states`].
struct StateIndex {
    table: Vec<u32>,
}

impl StateIndex {
    /// The content of a free bucket.
    const FREE: u32 = u32::MAX;

    fn new() -> Self {
        Self {
            table: vec![Self::FREE; 1 << 16],
        }
    }

    /// The number of a state, and whether the state is new. A new state is added to `states`.
    fn find_or_add(&mut self, state: &State, states: &mut Vec<State>) -> (u32, bool) {
        if states.len() * 2 > self.table.len() {
            self.grow(states);
        }
        let bucket = self.bucket(state, states);
        if self.table[bucket] != Self::FREE {
            return (self.table[bucket], false);
        }
        let number = states.len() as u32;
        states.push(*state);
        self.table[bucket] = number;
        (number, true)
    }

    /// The bucket that holds the state's number, or the free bucket for a new state.
    fn bucket(&self, state: &State, states: &[State]) -> usize {
        let mask = self.table.len() - 1;
        let mut bucket = hash::of(state) as usize & mask;
        loop {
            let number = self.table[bucket];
            if number == Self::FREE || states[number as usize] == *state {
                return bucket;
            }
            bucket = (bucket + 1) & mask;
        }
    }

    fn grow(&mut self, states: &[State]) {
        self.table = vec![Self::FREE; self.table.len() * 4];
        let mask = self.table.len() - 1;
        for (number, state) in states.iter().enumerate() {
            // All states differ, so a free bucket is the right one.
            let mut bucket = hash::of(state) as usize & mask;
            while self.table[bucket] != Self::FREE {
                bucket = (bucket + 1) & mask;
            }
            self.table[bucket] = number as u32;
        }
    }
}
