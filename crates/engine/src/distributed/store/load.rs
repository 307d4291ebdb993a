//! Reads a lane: the arguments of `load.lua`, and its reply. `commit.lua` takes the same arguments and
//! returns the same reply on a conflict.

use forebay_shared::{
    ids::{JobId, LaneKey},
    lane::Lane,
    session::{Conversation, TokenMeasure},
    session_settings::SessionDefaults,
    store::{FoundJob, LoadedLane, LoadedRunInputs, RunInputs, StoreError},
    turn::Turn,
};

use super::{
    arguments::Arguments, keys, lane_document, outcome_summary, reply_part::ReplyPart,
    turn_numbers::TurnNumbers,
};
use crate::record;

/// Appends the session, the jobs whose outcomes are read, and the job whose run inputs are read.
pub(super) fn push_query(
    args: &mut Arguments,
    lane: &LaneKey,
    outcomes_of: &[JobId],
    run_inputs_of: Option<JobId>,
) {
    let session = lane.session();
    let session = session.map(|session| keys::session_name(lane.tenant(), session));
    args.push(session.unwrap_or_default())
        .push_text(outcomes_of.len());
    for job in outcomes_of {
        args.push_text(job);
    }
    match run_inputs_of {
        Some(job) => args.push_text(job),
        None => args.push(""),
    };
}

/// Reads the reply of `load.lua`.
pub(super) fn read(
    reply: ReplyPart,
    outcomes_of: &[JobId],
    run_inputs_of: Option<JobId>,
) -> Result<LoadedLane, StoreError> {
    let [document, outcomes, run_inputs] = reply.parts()?;
    let (version, lane) = match document.non_nil() {
        Some(document) => {
            let (version, lane) = lane_document::read(&document.bytes()?)?;
            (Some(version), lane)
        }
        None => (None, Lane::default()),
    };
    let mut loaded = LoadedLane {
        lane,
        version,
        outcomes: Vec::new(),
        run_inputs: None,
    };
    for (job, summary) in outcomes_of.iter().zip(outcomes.list()?) {
        if let Some(summary) = summary.non_nil() {
            loaded
                .outcomes
                .push((*job, outcome_summary::read(&summary.bytes()?)?));
        }
    }
    if let (Some(job), Some(run_inputs)) = (run_inputs_of, run_inputs.non_nil())
        && loaded.lane.find(job).is_some()
    {
        loaded.run_inputs = Some(match run_inputs.as_u64() {
            Some(bytes) => LoadedRunInputs::LeftOut { bytes },
            None => LoadedRunInputs::Inline(Box::new(read_inline(run_inputs)?)),
        });
    }
    Ok(loaded)
}

/// Reads run inputs that a script returned with its reply.
pub(super) fn read_inline(reply: ReplyPart) -> Result<RunInputs, StoreError> {
    let [
        meta,
        request,
        sent_bytes,
        input_tokens,
        turns,
        defaults,
        dropped,
        gaps,
    ] = reply.parts()?;
    let turns = read_turns(turns)?;
    let mut run_inputs =
        read_run_inputs([meta, request, sent_bytes, input_tokens, defaults], turns)?;
    let numbers = TurnNumbers::read(dropped, gaps)?.take(run_inputs.conversation.turns.len());
    run_inputs.conversation.numbers = numbers.collect();
    Ok(run_inputs)
}

/// Reads the parts that `run_inputs.lua` returns. The turns are read separately.
pub(super) fn read_run_inputs(
    [meta, request, sent_bytes, input_tokens, defaults]: [ReplyPart; 5],
    turns: Vec<Turn>,
) -> Result<RunInputs, StoreError> {
    let token_measure = match (sent_bytes.non_nil(), input_tokens.non_nil()) {
        (Some(sent_bytes), Some(input_tokens)) => Some(TokenMeasure {
            sent_bytes: sent_bytes.u64_or_zero()?,
            input_tokens: input_tokens.u64_or_zero()?,
        }),
        _ => None,
    };
    Ok(RunInputs {
        meta: meta.document()?,
        request: request.document()?,
        conversation: Conversation {
            turns,
            numbers: Vec::new(),
            token_measure,
            defaults: match defaults.non_nil() {
                Some(defaults) => defaults.document()?,
                None => SessionDefaults::default(),
            },
        },
    })
}

/// Reads the turns of a session, oldest first.
fn read_turns(reply: ReplyPart) -> Result<Vec<Turn>, StoreError> {
    reply.list()?.map(ReplyPart::document).collect()
}

/// Reads the reply of `job.lua`.
pub(super) fn read_job(reply: ReplyPart) -> Result<FoundJob, StoreError> {
    let [meta, outcome, document, outcome_bytes, mark] = reply.parts()?;
    if let Some(mark) = mark.non_nil() {
        return Ok(FoundJob::LargeOutcome {
            meta: Box::new(meta.document()?),
            bytes: outcome_bytes.u64_or_zero()?,
            status: outcome_summary::read(&mark.bytes()?)?.status,
        });
    }
    let outcome = outcome.non_nil().map(ReplyPart::bytes).transpose()?;
    let lane = match document.non_nil() {
        Some(document) => Some(lane_document::read(&document.bytes()?)?.1),
        None => None,
    };
    let record = record::read(&meta.bytes()?, outcome.as_deref(), lane)?;
    Ok(FoundJob::Record(Box::new(record)))
}
