//! A commit as the arguments of its script. All is written down here, on the caller's side, so that
//! the script compares tokens, copies, and has nothing left to decide.

use forebay_shared::{
    class::Class,
    ids::JobId,
    job::Outcome,
    lane::{ClassCounts, Mark, State},
    store::{Commit, SessionWrite, StoreError},
    time::TimeMs,
};
use serde::Serialize;

use super::{
    arguments::Arguments,
    document,
    failure::{Accepts, unreadable},
    keys::{self, Keys, kind},
    loaded::push_look,
};

/// A commit that contradicts itself; whoever made it has a fault.
#[derive(Debug, thiserror::Error)]
#[error("a commit sets a timer for {0}, which is not in the lane")]
struct NotLive(JobId);

/// Whether a commit accepts a job.
pub(super) fn accepts(commit: &Commit) -> Accepts {
    if commit.admitted.is_empty() {
        Accepts::No
    } else {
        Accepts::Yes
    }
}

/// The arguments of `commit.lua`, in its order.
pub(super) fn arguments(keys: &Keys, commit: &Commit) -> Result<Arguments, StoreError> {
    let mut args = Arguments::default();
    args.push(keys.partition(commit.lane.partition()))
        .push(
            commit
                .expect
                .map(|token| token.simple().to_string())
                .unwrap_or_default(),
        )
        .push(document::write(&commit.next, commit.token)?)
        .push(document::mark(&commit.next).to_string())
        .at(commit.at);
    push_look(&mut args, &commit.lane, &commit.about, commit.work);
    push_records(&mut args, commit)?;
    push_timers(&mut args, commit)?;
    push_counts(&mut args, commit);
    let writes = commit.session.iter();
    let writes = writes.filter(|_| commit.lane.session().is_some());
    args.size(writes.clone().count());
    for write in writes {
        push_session(&mut args, write, commit)?;
    }
    push_notices(&mut args, keys, commit);
    Ok(args)
}

fn push_records(args: &mut Arguments, commit: &Commit) -> Result<(), StoreError> {
    args.size(commit.admitted.len());
    for job in &commit.admitted {
        args.push(job.meta.id.to_string())
            .push(json(&job.meta)?)
            .push(json(job.request.as_ref())?)
            .at(job.meta.keep_until.unwrap_or_default());
    }
    args.size(commit.reopened.len());
    for job in &commit.reopened {
        args.push(job.to_string());
    }
    args.size(commit.ended.len());
    for ended in &commit.ended {
        args.push(ended.job.to_string())
            .push(mark(&ended.outcome)?)
            .push(json(&ended.outcome)?)
            .at(commit.at.plus_ms(ended.keep_ms));
    }
    Ok(())
}

/// What a look at a record needs of its outcome, apart from the reply.
fn mark(outcome: &Outcome) -> Result<String, StoreError> {
    json(&(outcome.status, outcome.fence, outcome.settled))
}

/// Reads what [`mark`] wrote.
pub(super) fn read_mark(bytes: &[u8]) -> Result<Mark, StoreError> {
    let (status, fence, settled) = serde_json::from_slice(bytes).map_err(unreadable)?;
    Ok(Mark {
        status,
        fence,
        settled,
    })
}

/// A job's timer, or that it has none; and since when it waits for a worker, if it does.
struct TimerLine {
    job: JobId,
    at: Option<TimeMs>,
    class: Class,
    waits_since: Option<TimeMs>,
}

fn push_timers(args: &mut Arguments, commit: &Commit) -> Result<(), StoreError> {
    let mut lines = Vec::with_capacity(commit.timers.len() + commit.ended.len());
    for (job, at) in &commit.timers {
        match at {
            Some(at) => {
                let (_, entry) = commit
                    .next
                    .find(*job)
                    .ok_or_else(|| unreadable(NotLive(*job)))?;
                let waits = !matches!(entry.state, State::Running { .. });
                lines.push(TimerLine {
                    job: *job,
                    at: Some(*at),
                    class: entry.class,
                    waits_since: waits.then_some(entry.admitted_at),
                });
            }
            None if commit.ended.iter().any(|ended| ended.job == *job) => {}
            // Its class is nowhere in the commit; it can be in one index only.
            None => lines.extend(Class::ALL.map(|class| cleared(*job, class))),
        }
    }
    // A job that ends has no timer, whether the commit says so or not.
    lines.extend(
        commit
            .ended
            .iter()
            .map(|ended| cleared(ended.job, ended.class)),
    );
    args.size(lines.len());
    for line in lines {
        args.push(line.job.to_string())
            .push(line.at.map(super::arguments::ms).unwrap_or_default())
            .push(kind(commit.lane.tenant(), line.class))
            .push(
                line.waits_since
                    .map(super::arguments::ms)
                    .unwrap_or_default(),
            );
    }
    Ok(())
}

const fn cleared(job: JobId, class: Class) -> TimerLine {
    TimerLine {
        job,
        at: None,
        class,
        waits_since: None,
    }
}

fn push_counts(args: &mut Arguments, commit: &Commit) {
    let mut lines = Vec::new();
    for class in Class::ALL {
        let ended = commit
            .ended
            .iter()
            .filter(|ended| ended.class == class)
            .count();
        let ended = i64::try_from(ended).unwrap_or(i64::MAX);
        let numbers = count_marks(commit.counts[class])
            .into_iter()
            .chain([('e', ended)]);
        lines.extend(
            numbers
                .filter(|(_, n)| *n != 0)
                .map(|(mark, n)| (class, mark, n)),
        );
    }
    args.size(lines.len());
    for (class, mark, n) in lines {
        args.push(format!("{}|{mark}", kind(commit.lane.tenant(), class)));
        args.int(n);
    }
}

/// The counts of a class, each by the letter of its field.
const fn count_marks(counts: ClassCounts) -> [(char, i64); 4] {
    [
        ('r', counts.ready),
        ('f', counts.in_flight),
        ('b', counts.behind_session),
        ('w', counts.retry_wait),
    ]
}

fn push_session(
    args: &mut Arguments,
    write: &SessionWrite,
    commit: &Commit,
) -> Result<(), StoreError> {
    let live = !commit.next.entries.is_empty();
    args.push(if live { "1" } else { "0" })
        .at(commit.at.plus_ms(write.bounds.ttl_ms))
        .size(write.bounds.turns_max)
        .size(write.bounds.turns_bytes_max);
    match write.measure {
        Some(measure) => args.int(measure.sent_bytes).int(measure.input_tokens),
        None => args.push("").push(""),
    };
    args.size(write.append.len());
    for turn in &write.append {
        args.push(json(turn)?);
    }
    Ok(())
}

fn push_notices(args: &mut Arguments, keys: &Keys, commit: &Commit) {
    args.size(commit.ended.len() + commit.dropped_calls.len());
    for ended in &commit.ended {
        args.push(keys.job_channel(ended.job))
            .push(ended.job.to_string());
    }
    for (process, job) in &commit.dropped_calls {
        args.push(keys.calls_channel(process)).push(job.to_string());
    }
}

/// The name of the session that a commit or a load is about, as the scripts want it.
pub(super) fn session_name(lane: &forebay_shared::ids::LaneKey) -> String {
    lane.session()
        .map(|session| keys::session(lane.tenant(), session))
        .unwrap_or_default()
}

fn json<T: Serialize>(document: &T) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        ids::{LaneKey, TenantId},
        job::Status,
        lane::{Lane, LaneCounts},
        store::{Ended, Token},
    };

    use super::*;

    fn commit(lane: LaneKey) -> Commit {
        Commit {
            lane,
            expect: None,
            token: Token::new_v4(),
            next: Lane::default(),
            timers: Vec::new(),
            admitted: Vec::new(),
            reopened: Vec::new(),
            ended: Vec::new(),
            session: None,
            counts: LaneCounts::default(),
            dropped_calls: Vec::new(),
            about: Vec::new(),
            work: None,
            at: TimeMs(5),
        }
    }

    fn texts(commit: &Commit) -> Vec<String> {
        let args = arguments(&Keys::new("fb"), commit).unwrap();
        let texts = args.as_slice().iter();
        texts
            .map(|arg| String::from_utf8(arg.clone()).unwrap())
            .collect()
    }

    #[test]
    fn a_commit_of_nothing_has_a_length_for_every_list() {
        let job = JobId::fresh(&TenantId::default(), None);
        let commit = commit(LaneKey::of(&TenantId::default(), None, job));
        let partition = format!("fb:{{{:02x}}}:", job.partition());
        let expected = [
            &partition, "", "", "-", "5", "", "0", "", "0", "0", "0", "0", "0", "0", "0",
        ];
        assert_eq!(texts(&commit), expected);
    }

    #[test]
    fn a_job_that_ends_loses_its_timer_and_is_counted_once() {
        let job = JobId::fresh(&TenantId::default(), None);
        let mut commit = commit(LaneKey::of(&TenantId::default(), None, job));
        let outcome = Outcome {
            status: Status::Cancelled,
            started_at: None,
            ended_at: TimeMs(5),
            fence: 2,
            settled: 1,
            attempts: Vec::new(),
            reply: None,
            error: None,
            provider: None,
        };
        commit.ended = vec![Ended {
            job,
            class: Class::Batch,
            outcome: outcome.clone(),
            keep_ms: 10,
        }];
        commit.timers = vec![(job, None)];
        commit.counts.batch.ready = -1;
        let id = job.to_string();
        let texts = texts(&commit);
        let ended = texts.iter().position(|text| *text == id).unwrap();
        assert_eq!(texts[ended + 3], "15");
        assert_eq!(texts[ended + 4..ended + 9], ["1", &id, "", "default|b", ""]);
        let counts = ["2", "default|b|r", "-1", "default|b|e", "1"];
        assert_eq!(texts[ended + 9..ended + 14], counts);
        let notice = format!("fb:n:j:{job}");
        assert_eq!(texts[ended + 14..], ["0", "1", &notice, &id]);

        let mark = read_mark(texts[ended + 1].as_bytes()).unwrap();
        assert_eq!(
            (mark.status, mark.fence, mark.settled),
            (Status::Cancelled, 2, 1)
        );
    }

    #[test]
    fn a_timer_for_a_job_that_is_not_in_the_lane_is_a_fault() {
        let job = JobId::fresh(&TenantId::default(), None);
        let mut commit = commit(LaneKey::of(&TenantId::default(), None, job));
        commit.timers = vec![(job, Some(TimeMs(7)))];
        let refused = arguments(&Keys::new("fb"), &commit).unwrap_err();
        assert!(matches!(refused, StoreError::Broken(_)));
    }
}
