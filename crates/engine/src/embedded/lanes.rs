//! Lanes as they are read: the document, what records say, and what a worker needs.

use forebay_shared::{
    ids::JobId,
    job::Request,
    lane::Mark,
    session::{Conversation, TokenMeasure},
    store::{Head, HeadFilter, Loaded, StoreError, Token, Work},
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::{
    columns::{At, Ended, Id, Key, Name, Version, natural, size},
    failure::unreadable,
};

/// A lane as it was read, its documents not yet parsed: that is left to whoever asked, so that it
/// does not hold up the engine's threads.
#[derive(Debug, Default)]
pub(super) struct RawLane {
    doc: Option<(Token, String)>,
    marks: Vec<(JobId, Mark)>,
    work: Option<RawWork>,
}

#[derive(Debug)]
struct RawWork {
    job: JobId,
    meta: String,
    request: String,
    turns: Vec<String>,
    measure: Option<TokenMeasure>,
}

/// Which lane is read, and what with it.
#[derive(Clone, Debug)]
pub(super) struct LaneQuery {
    /// The lane's key.
    pub(super) lane: String,
    /// Its session, as tenant and name.
    pub(super) session: Option<(String, String)>,
    /// Jobs whose records say whether they have ended.
    pub(super) about: Vec<JobId>,
    /// The job whose work is wanted.
    pub(super) work: Option<JobId>,
}

/// The token of a lane, if it has a document.
pub(super) fn token(db: &Connection, lane: &str) -> rusqlite::Result<Option<Token>> {
    db.prepare_cached("SELECT token FROM lanes WHERE key = ?1")?
        .query_row([lane], |row| row.get(0).map(|Version(token)| token))
        .optional()
}

/// Reads a lane; records and sessions whose time is over at `now` are not seen.
pub(super) fn read(db: &Connection, query: &LaneQuery, now: TimeMs) -> rusqlite::Result<RawLane> {
    let doc = db
        .prepare_cached("SELECT token, doc FROM lanes WHERE key = ?1")?
        .query_row([&query.lane], |row| {
            let Version(token) = row.get(0)?;
            Ok((token, row.get(1)?))
        })
        .optional()?;
    let work = match query.work {
        Some(job) => work(db, query, job, now)?,
        None => None,
    };
    let mut marks = Vec::new();
    for job in &query.about {
        // What has work is live, so it has no outcome.
        if work.as_ref().is_some_and(|work| work.job == *job) {
            continue;
        }
        if let Some(mark) = mark(db, *job, now)? {
            marks.push((*job, mark));
        }
    }
    Ok(RawLane { doc, marks, work })
}

fn mark(db: &Connection, job: JobId, now: TimeMs) -> rusqlite::Result<Option<Mark>> {
    db.prepare_cached(
        "SELECT status, fence, settled FROM outcomes JOIN jobs USING (n)
         WHERE jobs.id = ?1 AND forget_at > ?2",
    )?
    .query_row((Id(job), At(now)), |row| {
        let Ended(status) = row.get(0)?;
        Ok(Mark {
            status,
            fence: natural(row.get(1)?),
            settled: natural(row.get(2)?),
        })
    })
    .optional()
}

fn work(
    db: &Connection,
    query: &LaneQuery,
    job: JobId,
    now: TimeMs,
) -> rusqlite::Result<Option<RawWork>> {
    // A job with a timer in this lane is live, and no other has one.
    let found = db
        .prepare_cached(
            "SELECT meta, request FROM jobs JOIN timers ON timers.job = jobs.id
             WHERE jobs.id = ?1 AND timers.lane = ?2",
        )?
        .query_row((Id(job), &query.lane), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((meta, request)) = found else {
        return Ok(None);
    };
    let mut turns = Vec::new();
    let mut measure = None;
    if let Some((tenant, session)) = &query.session {
        let found = db
            .prepare_cached(
                "SELECT n, turns, sent_bytes, input_tokens FROM sessions
                 WHERE tenant = ?1 AND session = ?2
                   AND (expires_at IS NULL OR expires_at > ?3)",
            )?
            .query_row((tenant, session, At(now)), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, measured(row)?))
            })
            .optional()?;
        if let Some((n, count, newest)) = found {
            if count > 0 {
                turns = super::sessions::turns(db, n)?;
            }
            measure = newest;
        }
    }
    Ok(Some(RawWork {
        job,
        meta,
        request,
        turns,
        measure,
    }))
}

fn measured(row: &Row<'_>) -> rusqlite::Result<Option<TokenMeasure>> {
    let sent: Option<i64> = row.get("sent_bytes")?;
    let tokens: Option<i64> = row.get("input_tokens")?;
    Ok(sent.zip(tokens).map(|(sent, tokens)| TokenMeasure {
        sent_bytes: natural(sent),
        input_tokens: natural(tokens),
    }))
}

impl RawLane {
    /// The answer of the port.
    pub(super) fn parse(self) -> Result<Loaded, StoreError> {
        let token = self.doc.as_ref().map(|(token, _)| *token);
        let lane = match &self.doc {
            Some((_, doc)) => serde_json::from_str(doc).map_err(unreadable)?,
            None => forebay_shared::lane::Lane::default(),
        };
        let work = match self.work {
            Some(raw) if lane.find(raw.job).is_some() => Some(raw.parse()?),
            _ => None,
        };
        Ok(Loaded {
            lane,
            token,
            marks: self.marks,
            work,
        })
    }
}

impl RawWork {
    fn parse(self) -> Result<Work, StoreError> {
        let mut request: Request = serde_json::from_str(&self.request).map_err(unreadable)?;
        // It stays for as long as the call runs.
        request.input.shrink_to_fit();
        Ok(Work {
            meta: serde_json::from_str(&self.meta).map_err(unreadable)?,
            request,
            conversation: Conversation {
                turns: super::sessions::parse_turns(&self.turns)?,
                measure: self.measure,
            },
        })
    }
}

/// Lanes by what their head does, in the order of their keys' text.
pub(super) fn heads(
    db: &Connection,
    filter: &HeadFilter,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Head>> {
    let head = |row: &Row<'_>| {
        let Key(lane) = row.get("key")?;
        let Id(job) = row.get("head")?;
        let (At(timer), At(admitted_at)) = (row.get("at")?, row.get("admitted_at")?);
        let At(deadline) = row.get("deadline")?;
        let worker: Option<Name<_>> = row.get("worker")?;
        Ok(Head {
            lane,
            job,
            admitted_at,
            deadline,
            timer,
            worker: worker.map(|Name(worker)| worker),
        })
    };
    // Lanes first, in the order of their keys: each page goes on where the last one ended.
    match filter {
        HeadFilter::Running => db
            .prepare_cached(
                "SELECT key, head, worker, at, timers.admitted_at, deadline
                 FROM lanes CROSS JOIN timers ON timers.job = lanes.head
                 WHERE head_state = 'running' AND key > :after ORDER BY key LIMIT :limit",
            )?
            .query_map(named_params! {":after": after, ":limit": size(limit)}, head)?
            .collect(),
        HeadFilter::Ready(class) => db
            .prepare_cached(
                "SELECT key, head, worker, at, timers.admitted_at, deadline
                 FROM lanes CROSS JOIN timers ON timers.job = lanes.head
                 WHERE head_state = 'ready' AND lanes.class = :class AND key > :after
                 ORDER BY key LIMIT :limit",
            )?
            .query_map(
                named_params! {
                    ":class": class.as_str(), ":after": after, ":limit": size(limit),
                },
                head,
            )?
            .collect(),
    }
}
