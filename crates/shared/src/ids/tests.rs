//! Tests of the texts of ids and of the partitions of lanes.

use super::{JobId, LaneKey, SessionId, TenantId};

#[test]
fn a_job_id_parses_from_its_text_and_has_the_partition_of_its_lane() {
    let tenant = TenantId::default();
    let session = SessionId::parse("chat-42").unwrap();
    for session in [Some(&session), None] {
        let id = JobId::fresh(&tenant, session);
        assert_eq!(JobId::parse(&id.to_string()), Ok(id));
        let lane = LaneKey::of(&tenant, session, id);
        assert_eq!(lane.partition(), id.partition());
        assert_eq!(LaneKey::parse(&lane.to_string()), Ok(lane));
    }
}

#[test]
fn the_partition_of_a_session_never_changes_between_releases() {
    let session = SessionId::parse("chat-42").unwrap();
    let lane = LaneKey::Session {
        tenant: TenantId::default(),
        session,
    };
    assert_eq!(lane.partition(), 22);
}

#[test]
fn most_texts_are_session_ids() {
    let tenant = TenantId::default();
    let longest = "é".repeat(100);
    for text in [
        "a/b",
        "/",
        "ada+x@example.com",
        "ünï",
        "a b",
        " ",
        "...",
        "s/default/x",
        "{16}",
        "a|b;c",
        "🦀",
        &longest,
    ] {
        let session = SessionId::parse(text).expect("the id is valid");
        let id = JobId::fresh(&tenant, Some(&session));
        let lane = LaneKey::of(&tenant, Some(&session), id);
        assert_eq!(LaneKey::parse(&lane.to_string()), Ok(lane), "{text:?}");
    }
}

#[test]
fn invalid_names_are_refused() {
    for text in ["", "a b", "a/b", "a\0b", "é", "a\nb", &"x".repeat(129)] {
        assert!(TenantId::parse(text).is_err(), "{text:?} is accepted");
    }
    let too_long = "é".repeat(101);
    for text in ["", ".", "..", "a\0b", "a\nb", "\u{7f}", "\u{85}", &too_long] {
        assert!(SessionId::parse(text).is_err(), "{text:?} is accepted");
    }
    for text in [
        "job_",
        "job_00",
        "JOB_00",
        "job_zz0123456789abcdef0123456789abcdef",
    ] {
        assert!(JobId::parse(text).is_err(), "{text:?} is accepted");
    }
    let id = JobId::fresh(&TenantId::default(), None).to_string();
    assert!(JobId::parse(&id.to_uppercase()).is_err());
}
