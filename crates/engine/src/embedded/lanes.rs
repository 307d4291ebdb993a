//! Reads lanes. A read returns a lane's document, the outcomes of ended jobs, and the run inputs of one job. Run inputs are
//! what a worker needs to run a job: its metadata, its request, and the turns, the defaults and the token measure of its session.

use forebay_shared::{
    document,
    ids::{JobId, LaneKey},
    job::Request,
    lane::OutcomeSummary,
    session::{Conversation, TokenMeasure},
    session_settings::SessionDefaults,
    store::{INLINE_BYTES_MAX, LaneVersion, LoadedLane, LoadedRunInputs, RunInputs, StoreError},
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    columns::{EndedStatusColumn, JobIdColumn, TimeColumn, VersionColumn, int, u64_or_zero},
    lane_row::{LaneName, LaneOwner},
    sessions,
};

/// The documents of a lane, not parsed yet. The caller parses them, so that the engine's threads spend no time on it.
#[derive(Debug, Default)]
pub(super) struct RawLane {
    doc: Option<(LaneVersion, String)>,
    outcomes: Vec<(JobId, OutcomeSummary)>,
    run_inputs: Option<LoadedRawInputs>,
}

#[derive(Debug)]
struct LoadedRawInputs {
    job: JobId,
    inputs: RawInputs,
}

#[derive(Debug)]
enum RawInputs {
    Inline(RawRunInputs),
    LeftOut { bytes: u64 },
}

/// What a worker needs to run a job, not parsed yet.
#[derive(Debug)]
pub(super) struct RawRunInputs {
    meta: String,
    request: String,
    /// The turns of the session with their numbers.
    turns: Vec<(u64, String)>,
    token_measure: Option<TokenMeasure>,
    defaults: Option<String>,
}

/// Selects a lane to read, and the outcomes and the run inputs to read with it.
#[derive(Clone, Debug)]
pub(super) struct LaneQuery {
    /// The lane.
    pub(super) lane: LaneName,
    /// The jobs whose outcomes are read, if they have ended.
    pub(super) outcomes_of: Vec<JobId>,
    /// The job whose run inputs are read.
    pub(super) run_inputs_of: Option<JobId>,
}

impl LaneQuery {
    pub(super) fn new(lane: &LaneKey, outcomes_of: &[JobId], run_inputs_of: Option<JobId>) -> Self {
        Self {
            lane: LaneName::of(lane),
            outcomes_of: outcomes_of.to_vec(),
            run_inputs_of,
        }
    }
}

/// Reads a lane. Records and sessions that have expired at `now` are left out.
pub(super) fn read(db: &Connection, query: &LaneQuery, now: TimeMs) -> rusqlite::Result<RawLane> {
    let found = find(db, &query.lane, now)?;
    let run_inputs = match (query.run_inputs_of, &found) {
        (Some(job), Some(found)) => load_run_inputs(db, found, job)?,
        _ => None,
    };
    let mut outcomes = Vec::new();
    for job in &query.outcomes_of {
        // A job with run inputs is live, so it has no outcome.
        if run_inputs
            .as_ref()
            .is_some_and(|run_inputs| run_inputs.job == *job)
        {
            continue;
        }
        if let Some(summary) = read_outcome(db, *job, now)? {
            outcomes.push((*job, summary));
        }
    }
    Ok(RawLane {
        doc: found.map(|found| (found.version, found.doc)),
        outcomes,
        run_inputs,
    })
}

/// A stored lane, and what a worker needs of its session.
struct FoundLane {
    /// The number of the lane's row.
    number: i64,
    version: LaneVersion,
    doc: String,
    head_runs: bool,
    /// The lane's session, if it has one that has not expired.
    session: Option<FoundSession>,
}

struct FoundSession {
    row_number: i64,
    turns: i64,
    turns_bytes: u64,
    token_measure: Option<TokenMeasure>,
}

fn find(db: &Connection, name: &LaneName, now: TimeMs) -> rusqlite::Result<Option<FoundLane>> {
    let found = match &name.owner {
        LaneOwner::Session(key) => db
            .prepare_cached(
                "SELECT lanes.n, token, doc, head_state IS 'running', sessions.n, turns, turns_bytes,
                     sent_bytes, input_tokens, expires_at IS NULL OR expires_at > ?4
                 FROM sessions CROSS JOIN lanes ON lanes.n = sessions.lane
                 WHERE tenant = ?1 AND session = ?2 AND lanes.key = ?3",
            )?
            .query_row(
                (&key.tenant, &key.session, &name.key, TimeColumn(now)),
                |row| {
                    let session = found_session(row)?;
                    found_lane(row, row.get::<_, bool>(9)?.then_some(session))
                },
            ),
        LaneOwner::Job(job) => db
            .prepare_cached(
                "SELECT lanes.n, token, doc, head_state IS 'running'
                 FROM timers CROSS JOIN lanes ON lanes.n = timers.lane
                 WHERE job = ?1 AND lanes.key = ?2",
            )?
            .query_row((JobIdColumn(*job), &name.key), |row| found_lane(row, None)),
    };
    found.optional()
}

/// Reads a lane from the first four columns.
fn found_lane(row: &Row<'_>, session: Option<FoundSession>) -> rusqlite::Result<FoundLane> {
    let VersionColumn(version) = row.get(1)?;
    Ok(FoundLane {
        number: row.get(0)?,
        version,
        doc: row.get(2)?,
        head_runs: row.get(3)?,
        session,
    })
}

/// Reads a session from the five columns after those of the lane.
fn found_session(row: &Row<'_>) -> rusqlite::Result<FoundSession> {
    let sent_bytes: Option<i64> = row.get(7)?;
    let input_tokens: Option<i64> = row.get(8)?;
    let token_measure = sent_bytes.zip(input_tokens);
    Ok(FoundSession {
        row_number: row.get(4)?,
        turns: row.get(5)?,
        turns_bytes: u64_or_zero(row.get(6)?),
        token_measure: token_measure.map(|(sent_bytes, input_tokens)| TokenMeasure {
            sent_bytes: u64_or_zero(sent_bytes),
            input_tokens: u64_or_zero(input_tokens),
        }),
    })
}

fn read_outcome(
    db: &Connection,
    job: JobId,
    now: TimeMs,
) -> rusqlite::Result<Option<OutcomeSummary>> {
    db.prepare_cached(
        "SELECT status, fence, settled FROM outcomes JOIN jobs USING (n)
         WHERE jobs.id = ?1 AND forget_at > ?2",
    )?
    .query_row((JobIdColumn(job), TimeColumn(now)), |row| {
        let EndedStatusColumn(status) = row.get(0)?;
        Ok(OutcomeSummary {
            status,
            fence: u64_or_zero(row.get(1)?),
            settled_fence: u64_or_zero(row.get(2)?),
        })
    })
    .optional()
}

/// Reads the run inputs of a job if they are small and the head of the lane does not run. Otherwise, reads only their size.
fn load_run_inputs(
    db: &Connection,
    lane: &FoundLane,
    job: JobId,
) -> rusqlite::Result<Option<LoadedRawInputs>> {
    let session_bytes = match &lane.session {
        Some(session) => {
            let defaults_bytes = sessions::defaults_bytes(db, session.row_number)?;
            session.turns_bytes.saturating_add(defaults_bytes)
        }
        None => 0,
    };
    let request_bytes_max = match INLINE_BYTES_MAX.checked_sub(session_bytes) {
        Some(bytes) if !lane.head_runs => int(bytes),
        _ => -1,
    };
    let Some(found) = find_request(db, lane, job, request_bytes_max)? else {
        return Ok(None);
    };
    let inputs = match found.request {
        Some(request) => RawInputs::Inline(with_turns(db, lane, found.meta, request)?),
        None => RawInputs::LeftOut {
            bytes: found.request_bytes.saturating_add(session_bytes),
        },
    };
    Ok(Some(LoadedRawInputs { job, inputs }))
}

/// Reads what a worker needs to run a job, if the job is live.
pub(super) fn run_inputs(
    db: &Connection,
    lane: &LaneName,
    job: JobId,
    now: TimeMs,
) -> rusqlite::Result<Option<RawRunInputs>> {
    let Some(lane) = find(db, lane, now)? else {
        return Ok(None);
    };
    let found = find_request(db, &lane, job, i64::MAX)?;
    let found = found.and_then(|found| Some((found.meta, found.request?)));
    found
        .map(|(meta, request)| with_turns(db, &lane, meta, request))
        .transpose()
}

/// The documents of a live job.
struct FoundRequest {
    meta: String,
    request_bytes: u64,
    /// `None` if it has too many bytes.
    request: Option<String>,
}

/// Reads the request of a live job of the lane if it has at most `bytes_max` bytes. Every live job has a timer, and no other job
/// has one.
fn find_request(
    db: &Connection,
    lane: &FoundLane,
    job: JobId,
    bytes_max: i64,
) -> rusqlite::Result<Option<FoundRequest>> {
    db.prepare_cached(
        "SELECT meta, octet_length(request), CASE WHEN octet_length(request) <= ?3 THEN request END
         FROM timers CROSS JOIN jobs ON jobs.id = timers.job
         WHERE timers.job = ?1 AND timers.lane = ?2",
    )?
    .query_row((JobIdColumn(job), lane.number, bytes_max), |row| {
        Ok(FoundRequest {
            meta: row.get(0)?,
            request_bytes: u64_or_zero(row.get(1)?),
            request: row.get(2)?,
        })
    })
    .optional()
}

/// Adds the turns and the defaults of the lane's session to the documents of a job.
fn with_turns(
    db: &Connection,
    lane: &FoundLane,
    meta: String,
    request: String,
) -> rusqlite::Result<RawRunInputs> {
    let session = lane.session.as_ref();
    let session_with_turns = session.filter(|session| session.turns > 0);
    let turns = session_with_turns.map(|session| sessions::turns(db, session.row_number));
    Ok(RawRunInputs {
        meta,
        request,
        turns: turns.transpose()?.unwrap_or_default(),
        token_measure: session.and_then(|session| session.token_measure),
        defaults: session
            .map(|session| sessions::defaults(db, session.row_number))
            .transpose()?
            .flatten(),
    })
}

impl RawLane {
    /// Takes the run inputs out, unless only their size was read.
    pub(super) fn take_inline(&mut self) -> Option<RawRunInputs> {
        let is_inline =
            |loaded: &mut LoadedRawInputs| matches!(loaded.inputs, RawInputs::Inline(_));
        match self.run_inputs.take_if(is_inline)?.inputs {
            RawInputs::Inline(run_inputs) => Some(run_inputs),
            RawInputs::LeftOut { .. } => None,
        }
    }

    /// Parses the documents.
    pub(super) fn parse(self) -> Result<LoadedLane, StoreError> {
        let version = self.doc.as_ref().map(|(version, _)| *version);
        let lane = match &self.doc {
            Some((_, doc)) => document::read(doc.as_bytes())?,
            None => forebay_shared::lane::Lane::default(),
        };
        let run_inputs = match self.run_inputs {
            Some(raw) if lane.find(raw.job).is_some() => Some(raw.inputs.parse()?),
            _ => None,
        };
        Ok(LoadedLane {
            lane,
            version,
            outcomes: self.outcomes,
            run_inputs,
        })
    }
}

impl RawInputs {
    fn parse(self) -> Result<LoadedRunInputs, StoreError> {
        Ok(match self {
            Self::Inline(raw) => LoadedRunInputs::Inline(Box::new(raw.parse()?)),
            Self::LeftOut { bytes } => LoadedRunInputs::LeftOut { bytes },
        })
    }
}

impl RawRunInputs {
    /// Parses the documents.
    pub(super) fn parse(self) -> Result<RunInputs, StoreError> {
        let mut request: Request = document::read(self.request.as_bytes())?;
        drop(self.request);
        // The request stays in memory while the provider call runs.
        request.input.shrink_to_fit();
        Ok(RunInputs {
            meta: document::read(self.meta.as_bytes())?,
            request,
            conversation: Conversation {
                defaults: match self.defaults {
                    Some(defaults) => document::read(defaults.as_bytes())?,
                    None => SessionDefaults::default(),
                },
                ..sessions::conversation(self.turns, self.token_measure)?
            },
        })
    }
}
