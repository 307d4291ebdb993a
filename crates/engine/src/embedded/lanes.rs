//! Reads lanes. A read returns a lane's document, the outcomes of ended jobs, and the run inputs of one job. Run inputs are
//! what a worker needs to run a job: its metadata, its request, and the turns and the token measure of its session.

use forebay_shared::{
    document,
    ids::{JobId, LaneKey},
    job::Request,
    lane::OutcomeSummary,
    session::{Conversation, TokenMeasure},
    store::{
        Head, HeadFilter, INLINE_BYTES_MAX, LaneVersion, LoadedLane, LoadedRunInputs, RunInputs,
        StoreError,
    },
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::{
    columns::{
        EndedStatusColumn, JobIdColumn, LaneKeyColumn, NameColumn, TimeColumn, VersionColumn,
        first_readable, u64_or_zero,
    },
    sessions::{self, SessionKey},
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
    turns: Vec<String>,
    token_measure: Option<TokenMeasure>,
}

/// Selects a lane to read, and the outcomes and the run inputs to read with it.
#[derive(Clone, Debug)]
pub(super) struct LaneQuery {
    /// The lane's key.
    pub(super) lane: String,
    /// The lane's session, if it has one.
    pub(super) session: Option<SessionKey>,
    /// The jobs whose outcomes are read, if they have ended.
    pub(super) outcomes_of: Vec<JobId>,
    /// The job whose run inputs are read.
    pub(super) run_inputs_of: Option<JobId>,
}

impl LaneQuery {
    pub(super) fn new(lane: &LaneKey, outcomes_of: &[JobId], run_inputs_of: Option<JobId>) -> Self {
        let session = lane.session();
        Self {
            lane: lane.to_string(),
            session: session.map(|session| SessionKey::new(lane.tenant(), session)),
            outcomes_of: outcomes_of.to_vec(),
            run_inputs_of,
        }
    }
}

/// Reads a lane. Records and sessions that have expired at `now` are left out.
pub(super) fn read(db: &Connection, query: &LaneQuery, now: TimeMs) -> rusqlite::Result<RawLane> {
    let doc = db
        .prepare_cached("SELECT token, doc FROM lanes WHERE key = ?1")?
        .query_row([&query.lane], |row| {
            let VersionColumn(version) = row.get(0)?;
            Ok((version, row.get(1)?))
        })
        .optional()?;
    let run_inputs = match query.run_inputs_of {
        Some(job) => load_run_inputs(db, query, job, now)?,
        None => None,
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
        doc,
        outcomes,
        run_inputs,
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

/// Reads the run inputs of a job if they are small and no head of the lane runs. Otherwise, reads only their size.
fn load_run_inputs(
    db: &Connection,
    query: &LaneQuery,
    job: JobId,
    now: TimeMs,
) -> rusqlite::Result<Option<LoadedRawInputs>> {
    // Every live job has a timer, and no other job has one.
    let found = db
        .prepare_cached(
            "SELECT octet_length(request) + coalesce((SELECT turns_bytes FROM sessions
                 WHERE tenant = ?3 AND session = ?4
                   AND (expires_at IS NULL OR expires_at > ?5)), 0),
                 (SELECT head_state FROM lanes WHERE key = ?2) IS 'running'
             FROM jobs JOIN timers ON timers.job = jobs.id
             WHERE jobs.id = ?1 AND timers.lane = ?2",
        )?
        .query_row(
            (
                JobIdColumn(job),
                &query.lane,
                query.session.as_ref().map(|key| &key.tenant),
                query.session.as_ref().map(|key| &key.session),
                TimeColumn(now),
            ),
            |row| Ok((u64_or_zero(row.get(0)?), row.get::<_, bool>(1)?)),
        )
        .optional()?;
    let Some((bytes, head_runs)) = found else {
        return Ok(None);
    };
    let inputs = if bytes <= INLINE_BYTES_MAX && !head_runs {
        let session = query.session.as_ref();
        match run_inputs(db, &query.lane, session, job, now)? {
            Some(inputs) => RawInputs::Inline(inputs),
            None => return Ok(None),
        }
    } else {
        RawInputs::LeftOut { bytes }
    };
    Ok(Some(LoadedRawInputs { job, inputs }))
}

/// Reads what a worker needs to run a job, if the job is live.
pub(super) fn run_inputs(
    db: &Connection,
    lane: &str,
    session: Option<&SessionKey>,
    job: JobId,
    now: TimeMs,
) -> rusqlite::Result<Option<RawRunInputs>> {
    let found = db
        .prepare_cached(
            "SELECT meta, request FROM jobs JOIN timers ON timers.job = jobs.id
             WHERE jobs.id = ?1 AND timers.lane = ?2",
        )?
        .query_row((JobIdColumn(job), lane), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((meta, request)) = found else {
        return Ok(None);
    };
    let mut turns = Vec::new();
    let mut token_measure = None;
    if let Some(key) = session {
        let found = db
            .prepare_cached(
                "SELECT n, turns, sent_bytes, input_tokens FROM sessions
                 WHERE tenant = ?1 AND session = ?2
                   AND (expires_at IS NULL OR expires_at > ?3)",
            )?
            .query_row((&key.tenant, &key.session, TimeColumn(now)), |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    read_token_measure(row)?,
                ))
            })
            .optional()?;
        if let Some((row_number, turn_count, stored_token_measure)) = found {
            if turn_count > 0 {
                turns = sessions::turns(db, row_number)?;
            }
            token_measure = stored_token_measure;
        }
    }
    Ok(Some(RawRunInputs {
        meta,
        request,
        turns,
        token_measure,
    }))
}

/// Reads the token measure from the third and the fourth column.
fn read_token_measure(row: &Row<'_>) -> rusqlite::Result<Option<TokenMeasure>> {
    let sent_bytes: Option<i64> = row.get(2)?;
    let input_tokens: Option<i64> = row.get(3)?;
    let token_measure = sent_bytes.zip(input_tokens);
    Ok(
        token_measure.map(|(sent_bytes, input_tokens)| TokenMeasure {
            sent_bytes: u64_or_zero(sent_bytes),
            input_tokens: u64_or_zero(input_tokens),
        }),
    )
}

impl RawLane {
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
                turns: sessions::parse_turns(self.turns)?,
                token_measure: self.token_measure,
            },
        })
    }
}

/// Returns the heads that match the filter, in the order of their lanes' keys.
pub(super) fn heads(
    db: &Connection,
    filter: &HeadFilter,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Head>> {
    let head = |row: &Row<'_>| {
        let LaneKeyColumn(lane) = row.get("key")?;
        let JobIdColumn(job) = row.get("head")?;
        let (TimeColumn(timer), TimeColumn(admitted_at)) =
            (row.get("at")?, row.get("admitted_at")?);
        let TimeColumn(deadline) = row.get("deadline")?;
        let worker: Option<NameColumn<_>> = row.get("worker")?;
        Ok(lane.map(|lane| Head {
            lane,
            job,
            admitted_at,
            deadline,
            timer,
            worker: worker.map(|NameColumn(worker)| worker),
        }))
    };
    let (state, class) = match filter {
        HeadFilter::Running => ("running", None),
        HeadFilter::Ready(class) => ("ready", Some(class.as_str())),
    };
    // CROSS JOIN makes SQLite scan the lanes first, in the order of their keys. So a page can start after the last lane of
    // the page before.
    let mut select = db.prepare_cached(
        "SELECT key, head, worker, at, timers.admitted_at, deadline
         FROM lanes CROSS JOIN timers ON timers.job = lanes.head
         WHERE head_state = :state AND (:class IS NULL OR lanes.class = :class) AND key > :after
         ORDER BY key",
    )?;
    let heads = select.query_map(
        named_params! {":state": state, ":class": class, ":after": after},
        head,
    )?;
    first_readable(heads, limit)
}
