//! A lane's document: one line that the scripts read, then the lane as JSON.
//!
//! The line is `VERSION;CODE;ENTRIES;JOB;WORKER;ADMITTED;DEADLINE` and a line feed. The line of a deferred head has two more
//! fields at the end, `;CLAIMED;INDEX`. The fields are:
//!
//! - `VERSION`: the lane's version in 32 hex digits;
//! - `CODE`: the code for the state of the head: `r` running, `i` ready in class `interactive`, `b` ready in class `batch`, `d`
//!   deferred, `-` any other state or no head;
//! - `ENTRIES`: the number of live jobs;
//! - `JOB`, `WORKER`, `ADMITTED`, `DEADLINE`: the head's job, its worker if it runs, and its times in milliseconds. All are
//!   empty without a head;
//! - `CLAIMED`: `1` if a worker has claimed the deferred head since its admission, `0` if not. The first releases with
//!   deferred heads do not write this field, and do not need it: they read the document instead;
//! - `INDEX`: the name of the index that has the deferred head. It is the last field, because it may contain a semicolon.
//!
//! With this line, the scripts need not parse JSON. The version and the code have fixed positions.

use std::fmt::Write as _;

use forebay_shared::{
    document,
    ids::{JobId, LaneKey, ProcessId},
    lane::{HeadState, Lane},
    store::{Head, LaneVersion, StoreError},
    time::TimeMs,
};

use super::keys::{class_code, deferred_name};
use crate::{
    rejection::broken_data,
    rows::{HeadRow, LaneRow},
};

/// Most first lines have at most this many bytes.
const LINE_BYTES: usize = 192;

/// The stored text is not the document of a lane.
#[derive(Debug, thiserror::Error)]
#[error("the document of a lane has an unknown form")]
struct Malformed;

/// Returns the code for the state of a lane's head.
pub(super) const fn head_code(head: Option<&HeadRow>) -> char {
    match head {
        Some(HeadRow {
            state: HeadState::Running(_),
            ..
        }) => 'r',
        Some(HeadRow {
            state: HeadState::Ready(class),
            ..
        }) => class_code(*class),
        Some(HeadRow {
            state: HeadState::Deferred(..),
            ..
        }) => 'd',
        _ => '-',
    }
}

/// Writes the document of a lane.
pub(super) fn write(lane: &LaneRow, version: LaneVersion) -> String {
    let code = head_code(lane.head.as_ref());
    let mut document = String::with_capacity(lane.json.len() + LINE_BYTES);
    // A write to a string cannot fail.
    let _always_ok = write!(
        document,
        "{};{code};{};",
        version.simple(),
        lane.entry_count
    );
    match &lane.head {
        Some(head) => {
            let worker = match &head.state {
                HeadState::Running(worker) => worker.as_str(),
                _ => "",
            };
            let (admitted_at, deadline) = (head.admitted_at.0, head.deadline.0);
            let _always_ok = write!(document, "{};{worker};{admitted_at};{deadline}", head.job);
            if let HeadState::Deferred(account, class) = &head.state {
                // A line feed would end the line, so it is left out. `deferred_heads.lua` then finds another name than it expects,
                // and returns the document.
                let name = deferred_name(account, *class).replace('\n', "");
                let _always_ok = write!(document, ";{};{name}", u8::from(head.claimed));
            }
        }
        None => document.push_str(";;;"),
    }
    document.push('\n');
    document.push_str(&lane.json);
    document
}

/// Reads a lane and its version.
pub(super) fn read(bytes: &[u8]) -> Result<(LaneVersion, Lane), StoreError> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| broken_data(Malformed))?;
    let version = bytes
        .get(..32)
        .and_then(|version| LaneVersion::try_parse_ascii(version).ok())
        .ok_or_else(|| broken_data(Malformed))?;
    let lane = document::read(&bytes[end + 1..])?;
    Ok((version, lane))
}

/// Reads the head of `lane` from the first line of the lane's document; `bytes` may be cut off after that line.
/// `timer` is the head's timer.
pub(super) fn read_head(bytes: &[u8], lane: LaneKey, timer: TimeMs) -> Result<Head, StoreError> {
    let line = bytes.split(|byte| *byte == b'\n').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut parts = line.unwrap_or_default().split(';').skip(3);
    let mut part = || parts.next().ok_or_else(|| broken_data(Malformed));
    let time = |text: &str| text.parse().map(TimeMs).map_err(broken_data);
    Ok(Head {
        lane,
        job: JobId::parse(part()?).map_err(broken_data)?,
        worker: match part()? {
            "" => None,
            worker => Some(ProcessId::parse(worker).map_err(broken_data)?),
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
        document::UnknownFields,
        ids::TenantId,
        lane::{Entry, State},
    };

    use super::*;

    fn entry(state: State) -> Entry {
        Entry {
            job: JobId::fresh(&TenantId::default(), None),
            class: Class::Batch,
            model: None,
            fence: 3,
            settled_fence: 0,
            state,
            deadline: TimeMs(9),
            is_tool_results: false,
            claimed: false,
            tries: 0,
            takeovers: 0,
            admitted_at: TimeMs(1),
            started_at: None,
            attempts: Vec::new(),
            unknown: UnknownFields::NONE,
            unknown_in_state: UnknownFields::NONE,
        }
    }

    fn lane(state: State) -> Lane {
        Lane {
            entries: vec![entry(state)],
            ..Lane::default()
        }
    }

    fn row(lane: &Lane) -> LaneRow {
        LaneRow::of(lane).unwrap().unwrap()
    }

    fn code(lane: &Lane) -> char {
        head_code(row(lane).head.as_ref())
    }

    #[test]
    fn a_lane_and_its_head_are_read_as_they_were_written() {
        let worker = ProcessId::parse("w".repeat(128).as_str()).unwrap();
        let running = lane(State::Running {
            worker: worker.clone(),
            until: TimeMs(7),
        });
        let version = LaneVersion::new_v4();
        let document = write(&row(&running), version);
        assert_eq!(
            read(document.as_bytes()).unwrap(),
            (version, running.clone())
        );
        let key = LaneKey::parse("s/default/chat-42").unwrap();
        let head = read_head(document.as_bytes(), key.clone(), TimeMs(5)).unwrap();
        let expected = Head {
            lane: key,
            job: running.entries[0].job,
            admitted_at: running.entries[0].admitted_at,
            deadline: running.entries[0].deadline,
            timer: TimeMs(5),
            worker: Some(worker),
        };
        assert_eq!(head, expected);
        // The scripts read the code at this position. `heads.lua` reads only the first 256 bytes of a document, so the
        // first line must be shorter. `ADMITTED` and `DEADLINE` have one digit here. The assertion leaves space for 13
        // more digits in each.
        assert_eq!(&document[33..34], "r");
        assert!(document.find('\n').unwrap() < 256 - 2 * 13);
    }

    #[test]
    fn the_code_of_the_head_depends_on_its_state() {
        let queued = |not_before| lane(State::Queued { not_before });
        assert_eq!(code(&queued(None)), 'b');
        assert_eq!(code(&queued(Some(TimeMs(5)))), '-');
        assert_eq!(head_code(None), '-');
        let hold = Lane {
            hold_until: Some(TimeMs(5)),
            ..Lane::default()
        };
        let document = write(&row(&hold), LaneVersion::new_v4());
        assert_eq!(&document[32..37], ";-;0;");
    }

    #[test]
    fn text_that_is_not_a_document_is_an_error() {
        for text in ["", "x", "\n{}", "0123;-;0;;\n{}"] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
