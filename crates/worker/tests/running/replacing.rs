//! Jobs that replace the last turns of their session (`replace_from_turn`).

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Request, Status},
    lane::IfBusy,
    turn::{FunctionCall, Role, ToolCall, ToolKind, Turn},
};
use forebay_worker::provider::{Failure, Retry};

use crate::harness::{Fleet, Submit, settings};

/// A message of the session `s` that replaces its turns from this number on.
fn edit(text: &str, from: u64) -> Submit {
    replacing(vec![Turn::text(Role::User, text)], from)
}

fn replacing(input: Vec<Turn>, from: u64) -> Submit {
    let mut submit = Submit::turns(input).session("s");
    submit.request.replace_from_turn = Some(from);
    submit.request.v = Request::version_for(Some(from));
    submit
}

/// Submits messages to the session `s`, each of which gets a reply in capitals.
async fn chat(fleet: &Fleet, messages: &[&str]) {
    for message in messages {
        let job = fleet.submit(Submit::text(message).session("s")).await;
        fleet.next_call().await.reply(&message.to_uppercase());
        assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    }
}

async fn texts_of_session(fleet: &Fleet) -> Vec<String> {
    let turns = fleet.session_turns("s").await;
    turns.into_iter().map(|(_, text)| text).collect()
}

async fn error_code(fleet: &Fleet, submit: Submit) -> String {
    let job = fleet.submit(submit).await;
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    outcome.error.expect("the job failed").code
}

#[tokio::test]
async fn an_edited_message_replaces_the_old_one_and_what_followed() {
    let fleet = Fleet::start(settings(4));
    chat(&fleet, &["a", "b", "c"]).await;
    let job = fleet.submit(edit("new b", 2)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "A", "new b"]);
    assert_eq!(
        texts_of_session(&fleet).await.len(),
        6,
        "the turns should stay until the reply"
    );
    call.reply("NEW B");
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    assert_eq!(texts_of_session(&fleet).await, ["a", "A", "new b", "NEW B"]);
}

#[tokio::test]
async fn a_reply_is_made_again_without_an_input() {
    let fleet = Fleet::start(settings(4));
    chat(&fleet, &["a", "b"]).await;
    let job = fleet.submit(replacing(Vec::new(), 3)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "A", "b"]);
    call.reply("another B");
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    assert_eq!(texts_of_session(&fleet).await, ["a", "A", "b", "another B"]);

    // The turn before must be one that a model answers.
    for without_question in [0, 2] {
        let code = error_code(&fleet, replacing(Vec::new(), without_question)).await;
        assert_eq!(code, "nothing_to_answer", "turn {without_question}");
    }
    assert_eq!(texts_of_session(&fleet).await.len(), 4);
}

#[tokio::test]
async fn a_job_that_fails_or_is_cancelled_leaves_the_old_turns() {
    let fleet = Fleet::start(settings(4));
    chat(&fleet, &["a", "b"]).await;
    let before = texts_of_session(&fleet).await;
    let failing = fleet.submit(edit("x", 0)).await;
    let failure = Failure::new("invalid_request", "planned by the test", Retry::Never);
    fleet.next_call().await.fail(failure);
    assert_eq!(fleet.outcome(failing).await.status, Status::Failed);
    assert_eq!(texts_of_session(&fleet).await, before);

    let submit = edit("x", 0);
    let session = submit.session.clone();
    let cancelled = fleet.submit(submit).await;
    let mut call = fleet.next_call().await;
    fleet.cancel(cancelled, session.as_ref()).await;
    call.wait_until_dropped().await;
    assert_eq!(texts_of_session(&fleet).await, before);
}

#[tokio::test]
async fn an_interrupted_edit_leaves_the_old_turns_and_no_input() {
    let fleet = Fleet::start(settings(4));
    chat(&fleet, &["a"]).await;
    fleet.submit(edit("x", 0)).await;
    let mut call = fleet.next_call().await;
    let mut newer = Submit::text("b").session("s");
    newer.if_busy = IfBusy::Interrupt;
    let job = fleet.submit(newer).await;
    call.wait_until_dropped().await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "A", "b"]);
    call.reply("B");
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    assert_eq!(texts_of_session(&fleet).await, ["a", "A", "b", "B"]);
}

#[tokio::test]
async fn a_turn_that_an_earlier_job_replaced_is_not_found() {
    let fleet = Fleet::start(settings(4));
    chat(&fleet, &["a", "b"]).await;
    let first = fleet.submit(edit("x", 2)).await;
    let second = fleet.submit(edit("y", 2)).await;
    fleet.next_call().await.reply("X");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
    let outcome = fleet.outcome(second).await;
    assert_eq!(
        outcome.error.expect("the job should have failed").code,
        "turn_not_found"
    );
    assert!(fleet.call_already_made().await.is_none());
    assert_eq!(texts_of_session(&fleet).await, ["a", "A", "x", "X"]);
    // The new turns have numbers of their own.
    let job = fleet.submit(edit("z", 4)).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "A", "z"]);
    call.reply("Z");
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
}

fn reply_with_a_call() -> Turn {
    let call = ToolCall {
        id: "c".to_owned(),
        kind: ToolKind::Function,
        function: FunctionCall {
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
            unknown: UnknownFields::NONE,
        },
        extra_content: None,
        unknown: UnknownFields::NONE,
    };
    Turn {
        tool_calls: vec![call],
        ..Turn::empty(Role::Assistant)
    }
}

/// A fleet whose session `s` has the turns user, call, result, reply.
async fn after_a_tool_call() -> Fleet {
    let fleet = Fleet::start(settings(4));
    let question = fleet.submit(Submit::text("a").session("s")).await;
    let call = fleet.next_call().await;
    call.answer(reply_with_a_call(), FinishReason::ToolCalls);
    fleet.outcome(question).await;
    let result = Turn {
        tool_call_id: Some("c".to_owned()),
        ..Turn::text(Role::Tool, "42")
    };
    let results = fleet.submit(Submit::turns(vec![result]).session("s")).await;
    fleet.next_call().await.reply("it is 42");
    assert_eq!(fleet.outcome(results).await.status, Status::Completed);
    fleet
}

#[tokio::test]
async fn a_reply_to_a_tool_result_is_made_again_with_its_call() {
    let fleet = after_a_tool_call().await;
    let mut submit = replacing(Vec::new(), 3);
    submit.request.context.max_turns = Some(1);
    for (submit, roles) in [
        (
            replacing(Vec::new(), 3),
            &[Role::User, Role::Assistant, Role::Tool][..],
        ),
        (submit, &[Role::User, Role::Assistant, Role::Tool]),
    ] {
        let from = submit.request.replace_from_turn;
        let job = fleet.submit(submit).await;
        let call = fleet.next_call().await;
        let sent: Vec<Role> = call.turns.iter().map(|turn| turn.role.clone()).collect();
        assert_eq!(sent, roles, "from {from:?}");
        call.fail(Failure::new(
            "invalid_request",
            "planned by the test",
            Retry::Never,
        ));
        assert_eq!(fleet.outcome(job).await.status, Status::Failed);
    }
}
