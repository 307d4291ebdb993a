//! A lane's document: one line that the scripts read, then the lane as JSON.
//!
//! The line is `TOKEN;MARK;ENTRIES;JOB;WORKER` and a line feed: the token in 32 hex digits; what the head
//! does in one letter (`r` running, `i` or `b` ready in that class, `-` anything else); how many live jobs
//! there are; the head; and who runs it. The scripts so need no JSON, and the token and the mark have
//! fixed places.

use forebay_shared::{
    ids::{JobId, ProcessId},
    lane::{HeadState, Lane},
    store::{StoreError, Token},
};

use super::{failure::unreadable, keys::class_mark};

/// A document that is not of this form.
#[derive(Debug, thiserror::Error)]
#[error("a lane's document cannot be read")]
struct Malformed;

/// What the head of a lane does, in one letter.
pub(super) fn mark(lane: &Lane) -> char {
    match lane.head_state() {
        Some(HeadState::Running(_)) => 'r',
        Some(HeadState::Ready(class)) => class_mark(class),
        Some(HeadState::Waiting) | None => '-',
    }
}

/// Writes a lane down; nothing for an empty one.
pub(super) fn write(lane: &Lane, token: Token) -> Result<String, StoreError> {
    if lane.is_empty() {
        return Ok(String::new());
    }
    let json = serde_json::to_string(lane).map_err(unreadable)?;
    let head = lane
        .head()
        .map(|head| head.job.to_string())
        .unwrap_or_default();
    let worker = match lane.head_state() {
        Some(HeadState::Running(worker)) => worker.to_string(),
        _ => String::new(),
    };
    Ok(format!(
        "{};{};{};{head};{worker}\n{json}",
        token.simple(),
        mark(lane),
        lane.entries.len(),
    ))
}

/// Reads a lane and its token.
pub(super) fn read(document: &[u8]) -> Result<(Token, Lane), StoreError> {
    let end = document.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| unreadable(Malformed))?;
    let token = document
        .get(..32)
        .and_then(|token| Token::try_parse_ascii(token).ok())
        .ok_or_else(|| unreadable(Malformed))?;
    let lane = serde_json::from_slice(&document[end + 1..]).map_err(unreadable)?;
    Ok((token, lane))
}

/// Reads the head and who runs it from a document's first line, whatever follows it.
pub(super) fn head(document: &[u8]) -> Result<(JobId, Option<ProcessId>), StoreError> {
    let line = document.split(|byte| *byte == b'\n').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut parts = line.unwrap_or_default().split(';').skip(3);
    let (Some(job), Some(worker)) = (parts.next(), parts.next()) else {
        return Err(unreadable(Malformed));
    };
    let job = JobId::parse(job).map_err(unreadable)?;
    let worker = match worker {
        "" => None,
        worker => Some(ProcessId::parse(worker).map_err(unreadable)?),
    };
    Ok((job, worker))
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        class::Class,
        ids::TenantId,
        lane::{Entry, State},
        time::TimeMs,
    };

    use super::*;

    fn entry(state: State) -> Entry {
        Entry {
            job: JobId::fresh(&TenantId::default(), None),
            class: Class::Batch,
            fence: 3,
            settled: 0,
            state,
            deadline: TimeMs(9),
            tool_results: false,
            claimed: false,
            tries: 0,
            takeovers: 0,
            admitted_at: TimeMs(1),
            started_at: None,
            attempts: Vec::new(),
        }
    }

    fn lane(state: State) -> Lane {
        Lane {
            entries: vec![entry(state)],
            hold_until: None,
        }
    }

    #[test]
    fn a_lane_survives_its_document() {
        let worker = ProcessId::parse("w".repeat(128).as_str()).unwrap();
        let running = lane(State::Running {
            worker: worker.clone(),
            until: TimeMs(7),
        });
        let token = Token::new_v4();
        let document = write(&running, token).unwrap();
        assert_eq!(read(document.as_bytes()).unwrap(), (token, running.clone()));
        let (job, runs) = head(document.as_bytes()).unwrap();
        assert_eq!((job, runs), (running.entries[0].job, Some(worker)));
        // The scripts read these places, and heads only the first 256 bytes.
        assert_eq!(&document[33..34], "r");
        assert!(document.find('\n').unwrap() < 256);
    }

    #[test]
    fn the_mark_says_what_the_head_does() {
        let queued = |not_before| lane(State::Queued { not_before });
        assert_eq!(mark(&queued(None)), 'b');
        assert_eq!(mark(&queued(Some(TimeMs(5)))), '-');
        assert_eq!(mark(&Lane::default()), '-');
        let hold = Lane {
            entries: Vec::new(),
            hold_until: Some(TimeMs(5)),
        };
        let document = write(&hold, Token::new_v4()).unwrap();
        assert_eq!(&document[32..37], ";-;0;");
        assert_eq!(write(&Lane::default(), Token::new_v4()).unwrap(), "");
    }

    #[test]
    fn what_is_not_a_document_is_broken() {
        for text in ["", "x", "\n{}", "0123;-;0;;\n{}"] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
