//! What a load asks and what it, or a commit that met a newer lane, answers.

use forebay_shared::{
    ids::{JobId, LaneKey},
    job::JobMeta,
    lane::Lane,
    session::{Conversation, TokenMeasure},
    store::{JobRecord, JobState, Loaded, StoreError, Work},
    turn::Turn,
};

use super::{
    arguments::Arguments,
    change::{read_mark, session_name},
    document,
    failure::unreadable,
    reply::Reply,
};

/// Appends what both scripts look at: the session, the jobs asked about, the job whose work is wanted.
pub(super) fn push_look(
    args: &mut Arguments,
    lane: &LaneKey,
    about: &[JobId],
    work: Option<JobId>,
) {
    args.push(session_name(lane)).size(about.len());
    for job in about {
        args.push(job.to_string());
    }
    args.push(work.map(|job| job.to_string()).unwrap_or_default());
}

/// Reads what `look` of the scripts returns.
pub(super) fn read(
    reply: Reply,
    about: &[JobId],
    work: Option<JobId>,
) -> Result<Loaded, StoreError> {
    let [document, marks, brings] = reply.parts()?;
    let (token, lane) = match document.some() {
        Some(document) => {
            let (token, lane) = document::read(&document.bytes()?)?;
            (Some(token), lane)
        }
        None => (None, Lane::default()),
    };
    let mut loaded = Loaded {
        lane,
        token,
        marks: Vec::new(),
        work: None,
    };
    for (job, mark) in about.iter().zip(marks.list()?) {
        if let Some(mark) = mark.some() {
            loaded.marks.push((*job, read_mark(&mark.bytes()?)?));
        }
    }
    if let (Some(job), Some(brings)) = (work, brings.some())
        && loaded.lane.find(job).is_some()
    {
        loaded.work = Some(read_work(brings)?);
    }
    Ok(loaded)
}

fn read_work(reply: Reply) -> Result<Work, StoreError> {
    let [meta, request, sent_bytes, input_tokens, turns] = reply.parts()?;
    let measure = match (sent_bytes.some(), input_tokens.some()) {
        (Some(sent_bytes), Some(input_tokens)) => Some(TokenMeasure {
            sent_bytes: sent_bytes.natural()?,
            input_tokens: input_tokens.natural()?,
        }),
        _ => None,
    };
    Ok(Work {
        meta: meta.json()?,
        request: request.json()?,
        conversation: Conversation {
            turns: read_turns(turns)?,
            measure,
        },
    })
}

/// Reads turns, oldest first.
pub(super) fn read_turns(reply: Reply) -> Result<Vec<Turn>, StoreError> {
    reply.list()?.map(Reply::json).collect()
}

/// A record that is neither in a lane nor has an outcome: somebody else changed the keys, or a replica
/// took over without the newest of them.
#[derive(Debug, thiserror::Error)]
#[error("the record of {0} has neither a place in a lane nor an outcome")]
struct Stray(JobId);

/// Reads what `job.lua` returns.
pub(super) fn read_job(reply: Reply) -> Result<JobRecord, StoreError> {
    let [meta, outcome, document] = reply.parts()?;
    let meta: JobMeta = meta.json()?;
    if let Some(outcome) = outcome.some() {
        let state = JobState::Ended(outcome.json()?);
        return Ok(JobRecord { meta, state });
    }
    let lane = match document.some() {
        Some(document) => document::read(&document.bytes()?)?.1,
        None => Lane::default(),
    };
    let entry = lane.entries.into_iter().find(|entry| entry.job == meta.id);
    let entry = entry.ok_or_else(|| unreadable(Stray(meta.id)))?;
    let state = JobState::Live(entry);
    Ok(JobRecord { meta, state })
}
