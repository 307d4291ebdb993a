//! Turns a commit into the arguments of `commit.lua`.
//!
//! The caller derives the rows beforehand. The script checks for conflicts and writes the rows. It derives only what depends on
//! the stored data: the counts of deferred heads, which turns the session drops, and whether the session has expired.

use forebay_shared::{
    ids::LaneKey,
    lane::ClassCounts,
    store::{BehindChange, Commit, DeferredChange, DeferredEntry, StoreError},
};

use super::{
    arguments::Arguments,
    keys::{Keys, deferred_name, tenant_class},
    lane_document,
    listing::list_entry,
    load, outcome_summary,
};
use crate::rows::{CommitRows, CountRow, JobRow, OutcomeRow, SessionRow, TimerRow};

/// Returns the arguments of `commit.lua`, in the order in which the script reads them.
pub(super) fn script_arguments(
    keys: &Keys,
    commit: &Commit,
    rows: CommitRows,
) -> Result<Arguments, StoreError> {
    let lane = rows.lane.as_ref();
    let document = lane.map(|lane| lane_document::write(lane, commit.version));
    let mut args = Arguments::for_commit();
    args.push(keys.partition_prefix(commit.lane.partition()));
    match commit.expected {
        Some(version) => args.push_text(version.simple()),
        None => args.push(""),
    };
    args.push(document.unwrap_or_default())
        .push_text(lane_document::head_code(
            lane.and_then(|lane| lane.head.as_ref()),
        ))
        .push_time(commit.at);
    load::push_query(
        &mut args,
        &commit.lane,
        &commit.outcomes_of,
        commit.run_inputs_of,
    );
    args.push(if commit.needs_run_inputs { "1" } else { "" });
    let session = rows.session.as_ref();
    match session.and_then(|session| session.replace_from_turn) {
        Some(number) => args.push_text(number),
        None => args.push(""),
    };
    push_jobs(&mut args, &commit.lane, rows.jobs);
    args.push_text(rows.repaired.len());
    for job in rows.repaired {
        let listed = list_entry(commit.lane.tenant(), job.created_at, job.job);
        args.push_text(job.job)
            .push_text(job.fence)
            .push(job.meta)
            .push(listed);
    }
    push_deferred(&mut args, &commit.lane, &rows.deferred);
    push_timers(&mut args, &commit.lane, &rows.timers);
    push_outcomes(&mut args, &commit.lane, rows.outcomes)?;
    push_counts(&mut args, &commit.lane, &rows.counts);
    push_session(&mut args, rows.session);
    args.push_text(rows.notices.len());
    for (topic, job) in rows.notices {
        args.push(keys.channel(&topic)).push_text(job);
    }
    Ok(args)
}

fn push_jobs(args: &mut Arguments, lane: &LaneKey, jobs: Vec<JobRow>) {
    args.push_text(jobs.len());
    for job in jobs {
        args.push_text(job.job)
            .push(job.meta)
            .push(job.request)
            .push_time(job.keep_until)
            .push(list_entry(lane.tenant(), job.created_at, job.job));
    }
}

fn push_deferred(args: &mut Arguments, lane: &LaneKey, change: &DeferredChange) {
    push_deferred_entries(args, lane, change);
    args.push_text(change.behind.len());
    for BehindChange {
        account,
        class,
        jobs,
    } in &change.behind
    {
        args.push(deferred_name(account, *class)).push_text(*jobs);
    }
}

fn push_deferred_entries(args: &mut Arguments, lane: &LaneKey, change: &DeferredChange) {
    if change.remove.is_none() && change.add.is_none() {
        args.push_text(0);
        return;
    }
    args.push_text(1);
    let names = |entry: &DeferredEntry| {
        let name = deferred_name(&entry.account, entry.class);
        (name, tenant_class(lane.tenant(), entry.class))
    };
    let (name, tenant_class) = change.remove.as_ref().map(names).unwrap_or_default();
    args.push(name).push(tenant_class);
    let (name, tenant_class) = change.add.as_ref().map(names).unwrap_or_default();
    args.push(name)
        .push(tenant_class)
        .push_optional_time(change.add.as_ref().map(|entry| entry.admitted_at));
}

fn push_timers(args: &mut Arguments, lane: &LaneKey, timers: &[TimerRow]) {
    args.push_text(timers.len());
    for timer in timers {
        args.push_text(timer.job)
            .push_time(timer.at)
            .push(tenant_class(lane.tenant(), timer.class))
            .push_optional_time(timer.is_queued.then_some(timer.admitted_at));
    }
}

fn push_outcomes(
    args: &mut Arguments,
    lane: &LaneKey,
    outcomes: Vec<OutcomeRow>,
) -> Result<(), StoreError> {
    args.push_text(outcomes.len());
    for outcome in outcomes {
        args.push_text(outcome.job)
            .push(tenant_class(lane.tenant(), outcome.class))
            .push(outcome_summary::write(&outcome)?)
            .push(outcome.json)
            .push_time(outcome.deletable_at);
    }
    Ok(())
}

fn push_counts(args: &mut Arguments, lane: &LaneKey, counts: &[CountRow]) {
    let rows = counts.iter().flat_map(|row| {
        let ended = i64::try_from(row.ended).unwrap_or(i64::MAX);
        let live = live_counts(row.live).into_iter();
        live.chain([('e', ended)])
            .map(|(code, change)| (row.class, code, change))
    });
    let changes: Vec<_> = rows.filter(|(.., change)| *change != 0).collect();
    args.push_text(changes.len());
    for (class, code, change) in changes {
        args.push_text(format_args!(
            "{}|{code}",
            tenant_class(lane.tenant(), class)
        ))
        .push_text(change);
    }
}

/// The counts of live jobs, each with the letter of its field. The script itself counts deferred heads, by the entries of
/// their index.
const fn live_counts(counts: ClassCounts) -> [(char, i64); 4] {
    [
        ('r', counts.ready),
        ('f', counts.in_flight),
        ('b', counts.behind_session),
        ('w', counts.retry_wait),
    ]
}

fn push_session(args: &mut Arguments, session: Option<SessionRow>) {
    args.push_text(usize::from(session.is_some()));
    let Some(session) = session else { return };
    args.push_optional_time(session.expires_at)
        .push_text(session.bounds.turns_max)
        .push_text(session.bounds.turns_bytes_max);
    match session.token_measure {
        Some(measure) => args
            .push_text(measure.sent_bytes)
            .push_text(measure.input_tokens),
        None => args.push("").push(""),
    };
    args.push_text(session.append.len());
    for turn in session.append {
        args.push(turn);
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        ids::{JobId, TenantId},
        job::Status,
    };

    use super::*;
    use crate::rows::tests::{empty_commit, ending_commit};

    /// Returns the arguments as text.
    fn argument_texts(commit: &Commit) -> Vec<String> {
        let rows = CommitRows::of(commit).unwrap();
        let args = script_arguments(&Keys::new("fb"), commit, rows).unwrap();
        let texts = args.iter().map(|arg| String::from_utf8(arg.to_vec()));
        texts.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_empty_commit_has_a_length_for_every_list() {
        let job = JobId::fresh(&TenantId::default(), None);
        let partition = format!("fb:{{{:02x}}}:", job.partition());
        // Prefix, expected version, document, code of the head, time, session, number of outcomes to read, the job whose
        // `RunInputs` are read, whether the commit needs them, and the first turn to replace; then the lengths of nine lists.
        let expected = [
            &partition, "", "", "-", "5", "", "0", "", "", "", "0", "0", "0", "0", "0", "0", "0",
            "0", "0",
        ];
        assert_eq!(argument_texts(&empty_commit(job)), expected);
    }

    #[test]
    fn an_outcome_is_sent_with_its_class_its_summary_and_the_time_of_its_deletion() {
        let job = JobId::fresh(&TenantId::default(), None);
        let id = job.to_string();
        let texts = argument_texts(&ending_commit(job));
        // The arguments of the outcome begin with the job's id.
        let outcome = texts.iter().position(|text| *text == id).unwrap();
        assert_eq!(texts[outcome + 1], "default|b");
        assert_eq!(texts[outcome + 4], "15");
        let counts = ["2", "default|b|r", "-1", "default|b|e", "1"];
        assert_eq!(texts[outcome + 5..outcome + 10], counts);
        let notice = format!("fb:n:j:{job}");
        assert_eq!(texts[outcome + 10..], ["0", "1", &notice, &id]);

        let summary = outcome_summary::read(texts[outcome + 2].as_bytes()).unwrap();
        assert_eq!(
            (summary.status, summary.fence, summary.settled_fence),
            (Status::Cancelled, 2, 1)
        );
    }
}
