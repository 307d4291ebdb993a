//! A lane's document: one line that the scripts read, then the lane as JSON.
//!
//! The line is `TOKEN;MARK;ENTRIES;JOB;WORKER;ADMITTED;DEADLINE` and a line feed: the token in 32 hex digits; what
//! the head does in one letter (`r` running, `i` or `b` ready in that class, `-` anything else); how many live jobs
//! there are; the head; who runs it; and its times in milliseconds. The scripts so need no JSON, and the token and
//! the mark have fixed places.

use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId},
    lane::{HeadState, Lane},
    store::{Head, StoreError, Token},
    time::TimeMs,
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
    let times = lane
        .head()
        .map(|head| format!("{};{}", head.admitted_at.0, head.deadline.0))
        .unwrap_or_else(|| String::from(";"));
    Ok(format!(
        "{};{};{};{head};{worker};{times}\n{json}",
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

/// Reads the head of `lane`, whose timer is `timer`, from the first line of its document, whatever follows it.
pub(super) fn head(document: &[u8], lane: LaneKey, timer: TimeMs) -> Result<Head, StoreError> {
    let line = document.split(|byte| *byte == b'\n').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut parts = line.unwrap_or_default().split(';').skip(3);
    let mut part = || parts.next().ok_or_else(|| unreadable(Malformed));
    let time = |text: &str| text.parse().map(TimeMs).map_err(unreadable);
    Ok(Head {
        lane,
        job: JobId::parse(part()?).map_err(unreadable)?,
        worker: match part()? {
            "" => None,
            worker => Some(ProcessId::parse(worker).map_err(unreadable)?),
        },
        admitted_at: time(part()?)?,
        deadline: time(part()?)?,
        timer,
    })
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        class::Class,
        ids::TenantId,
        lane::{Entry, State},
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
        let key = LaneKey::parse("s/default/chat-42").unwrap();
        let head = head(document.as_bytes(), key.clone(), TimeMs(5)).unwrap();
        let expected = Head {
            lane: key,
            job: running.entries[0].job,
            admitted_at: running.entries[0].admitted_at,
            deadline: running.entries[0].deadline,
            timer: TimeMs(5),
            worker: Some(worker),
        };
        assert_eq!(head, expected);
        // The scripts read these places, and heads only the first 256 bytes.
        assert_eq!(&document[33..34], "r");
        assert!(document.find('\n').unwrap() < 256 - 2 * 13);
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
