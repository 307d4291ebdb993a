//! The answers of `apply`, as the model keeps them.

use forebay_shared::{
    job::Status,
    lane::{self, Claim, Effects},
};

use super::{
    Change, Protocol, number,
    times::{DEADLINE, NOW, OVERDUE, pause},
};
use crate::state::{Doing, Entry, Lane, Life, Pause, Timer};

impl Protocol {
    pub(super) fn change(&self, before: &Lane, after: &lane::Lane, effects: &Effects) -> Change {
        let mut change = Change::default();
        change.lane.hold = after.hold_until.map_or(Pause::None, pause);
        for (place, entry) in after.entries.iter().enumerate() {
            change.lane.len += 1;
            change.lane.slots[place] = self.read(entry);
        }
        for (job, timer) in &effects.timers {
            let job = number(*job);
            let deadline = if before.find(job).is_some_and(|entry| entry.overdue) {
                OVERDUE
            } else {
                DEADLINE
            };
            change.timers[usize::from(job)] = Some(match timer {
                None => Timer::None,
                Some(at) => {
                    assert!(*at <= deadline, "the job would not expire in time");
                    if *at == DEADLINE {
                        Timer::Never
                    } else {
                        Timer::Later
                    }
                }
            });
        }
        for ending in &effects.ended {
            let life = life(ending.status);
            let (fence, settled) = (ending.entry.fence as u8, ending.settled as u8);
            let ended = &mut change.ended[usize::from(number(ending.entry.job))];
            assert!(ended.is_none(), "it ends twice in one commit");
            *ended = Some((life, fence, settled));
        }
        change.wake = effects.wake.map(number);
        change.session_grows = effects.keep_turns || !effects.keep_inputs.is_empty();
        match effects.claim {
            Some(Claim::Granted { fence }) => change.granted = Some(fence as u8),
            Some(Claim::NotDue { .. }) => change.not_due = true,
            None => {}
        }
        change
    }

    pub(super) fn read(&self, entry: &lane::Entry) -> Entry {
        let doing = match &entry.state {
            lane::State::Queued { not_before } => {
                Doing::Queued(not_before.map_or(Pause::None, pause))
            }
            lane::State::Running { worker, .. } => {
                let known = self.processes.iter().position(|process| process == worker);
                Doing::Running(known.expect("a process of this world") as u8)
            }
        };
        Entry {
            job: number(entry.job),
            fence: u8::try_from(entry.fence).expect("few attempts are made in a small world"),
            settled: entry.settled as u8,
            tries: entry.tries as u8,
            doing,
            claimed: entry.claimed,
            results: entry.tool_results,
            overdue: entry.deadline < NOW,
        }
    }
}

fn life(status: Status) -> Life {
    match status {
        Status::Completed => Life::Completed,
        Status::Failed => Life::Failed,
        Status::Cancelled => Life::Cancelled,
        Status::Expired => Life::Expired,
        Status::Queued | Status::InProgress => panic!("it has not ended"),
    }
}
