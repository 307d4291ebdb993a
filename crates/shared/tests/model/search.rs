//! The search: every state that can be reached, then backwards from those in which all is settled.
//!
//! Safety is checked of each state and each step, as they are found. Liveness: from every state there
//! must be a way to one in which every accepted job has ended, over steps that may be counted on.

use std::{fmt::Write as _, time::Instant};

use crate::{
    check::broken,
    configuration::Configuration,
    hash,
    normal::normal,
    state::{Phase, Sending, State},
    steps::World,
};

/// More states than this are more than the budget of memory and time allows.
const STATES_MAX: usize = 30_000_000;

/// What a search came to.
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) transitions: u64,
    /// What was broken, and the way there.
    pub(crate) violation: Option<String>,
    /// A state from which some job cannot end, and the way there.
    pub(crate) stuck: Option<String>,
    pub(crate) seconds: f64,
}

/// Searches the whole world; stops at the first violation.
pub(crate) fn search(configuration: Configuration) -> Found {
    crate::budget::begin();
    let begun = Instant::now();
    let mut graph = Graph::new(configuration);
    let violation = graph.explore();
    let stuck = match violation {
        Some(_) => None,
        None => graph.stuck().map(|index| graph.way_to(index)),
    };
    Found {
        states: graph.states.len(),
        transitions: graph.transitions,
        violation,
        stuck,
        seconds: begun.elapsed().as_secs_f64(),
    }
}

struct Graph {
    world: World,
    states: Vec<State>,
    /// From which state each was first reached.
    parents: Vec<u32>,
    index: Index,
    /// The ends of the steps that may be counted on, state after state.
    ends: Vec<u32>,
    /// Where the ends of each state begin.
    begins: Vec<usize>,
    transitions: u64,
}

impl Graph {
    fn new(configuration: Configuration) -> Self {
        let begin = State {
            left: configuration.left,
            ..State::default()
        };
        let mut graph = Self {
            world: World::new(configuration),
            states: Vec::new(),
            parents: Vec::new(),
            index: Index::new(),
            ends: Vec::new(),
            begins: Vec::new(),
            transitions: 0,
        };
        graph.index.find_or_add(&begin, &mut graph.states);
        graph.parents.push(0);
        graph
    }

    fn explore(&mut self) -> Option<String> {
        let mut at = 0;
        while at < self.states.len() {
            assert!(self.states.len() < STATES_MAX, "too many states");
            let state = self.states[at];
            if let Some(broken) = broken(&state) {
                return Some(format!("{broken}\n{}", self.way_to(at)));
            }
            self.begins.push(self.ends.len());
            let configuration = self.world.configuration;
            let steps = match self.world.steps(&state) {
                Ok(steps) => steps,
                Err(violation) => return Some(format!("{violation}\n{}", self.way_to(at))),
            };
            for step in steps {
                self.transitions += 1;
                let to = normal(&step.to, &configuration);
                let (end, new) = self.index.find_or_add(&to, &mut self.states);
                if new {
                    self.parents.push(at as u32);
                }
                if step.helps && end as usize != at {
                    self.ends.push(end);
                }
            }
            at += 1;
        }
        self.begins.push(self.ends.len());
        None
    }

    /// The first state from which some job cannot end.
    fn stuck(&self) -> Option<usize> {
        let settled = self.states.iter().map(State::is_settled);
        let mut good: Vec<bool> = settled.collect();
        assert!(good.iter().any(|good| *good), "nothing ever ends");
        let mut changed = true;
        while changed {
            changed = false;
            // Backwards, since most steps lead to states that were found later.
            for at in (0..good.len()).rev() {
                let ends = &self.ends[self.begins[at]..self.begins[at + 1]];
                if !good[at] && ends.iter().any(|end| good[*end as usize]) {
                    good[at] = true;
                    changed = true;
                }
            }
        }
        good.iter().position(|good| !good)
    }

    /// The steps that lead to a state, for people.
    fn way_to(&mut self, to: usize) -> String {
        let mut way = vec![to];
        while way[way.len() - 1] != 0 {
            way.push(self.parents[way[way.len() - 1]] as usize);
        }
        way.reverse();
        let configuration = self.world.configuration;
        let mut text = String::new();
        for pair in way.windows(2) {
            let (from, to) = (self.states[pair[0]], self.states[pair[1]]);
            let steps = self.world.steps(&from).unwrap_or_default();
            let step = steps
                .iter()
                .find(|step| normal(&step.to, &configuration) == to);
            let (label, job) = step.map_or(("?", 0), |step| (step.label, step.job));
            let _ = writeln!(text, "  {label} (job {job})\n      {}", show(&to));
        }
        text
    }
}

/// A state in one line.
fn show(state: &State) -> String {
    let mut text = String::new();
    for entry in state.lane.entries() {
        let kept = state.job(entry.job);
        let _ = write!(
            text,
            "[job {} {:?} fence {} settled {} timer {:?} wakes {}] ",
            entry.job, entry.doing, entry.fence, entry.settled, kept.timer, kept.wakes
        );
    }
    for (n, slot) in state.slots.iter().enumerate() {
        if slot.phase != Phase::Idle {
            let _ = write!(
                text,
                "| worker {n} {:?} job {} fence {} newest {} context {} ",
                slot.phase, slot.job, slot.fence, slot.newest, slot.context
            );
        }
    }
    let mut senders = *state;
    for sender in senders.senders_mut() {
        if sender.sending != Sending::Idle {
            let _ = write!(
                text,
                "| {:?} {} fresh {} ",
                sender.sending, sender.job, sender.fresh
            );
        }
    }
    text
}

/// Finds a state's number: an open table of numbers, whose keys are the states themselves.
struct Index {
    table: Vec<u32>,
}

impl Index {
    const FREE: u32 = u32::MAX;

    fn new() -> Self {
        Self {
            table: vec![Self::FREE; 1 << 16],
        }
    }

    /// The number of a state, and whether it is new.
    fn find_or_add(&mut self, state: &State, states: &mut Vec<State>) -> (u32, bool) {
        if states.len() * 2 > self.table.len() {
            self.grow(states);
        }
        let place = self.place(state, states);
        if self.table[place] != Self::FREE {
            return (self.table[place], false);
        }
        let number = states.len() as u32;
        states.push(*state);
        self.table[place] = number;
        (number, true)
    }

    /// Where the state's number stands, or would.
    fn place(&self, state: &State, states: &[State]) -> usize {
        let mask = self.table.len() - 1;
        let mut place = hash::of(state) as usize & mask;
        loop {
            let number = self.table[place];
            if number == Self::FREE || states[number as usize] == *state {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self, states: &[State]) {
        self.table = vec![Self::FREE; self.table.len() * 4];
        let mask = self.table.len() - 1;
        for (number, state) in states.iter().enumerate() {
            // All differ, so there is nothing to compare.
            let mut place = hash::of(state) as usize & mask;
            while self.table[place] != Self::FREE {
                place = (place + 1) & mask;
            }
            self.table[place] = number as u32;
        }
    }
}
