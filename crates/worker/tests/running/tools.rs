//! Replies that call tools.

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Status},
    lane::State,
    turn::{FunctionCall, Role, TOOL_CALLS_MAX, ToolCall, ToolKind, Turn},
};

use crate::harness::{Fleet, Submit, settings};

fn reply_with_a_call() -> Turn {
    let call = ToolCall {
        id: "call_1".to_owned(),
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
        content: None,
        tool_calls: vec![call],
        ..Turn::text(Role::Assistant, "")
    }
}

fn result_of_the_call() -> Turn {
    Turn {
        tool_call_id: Some("call_1".to_owned()),
        ..Turn::text(Role::Tool, "42")
    }
}

fn roles(turns: &[Turn]) -> Vec<Role> {
    turns.iter().map(|turn| turn.role.clone()).collect()
}

#[tokio::test]
async fn tool_results_go_before_a_waiting_message() {
    let fleet = Fleet::start(settings(4));
    let question = fleet.submit(Submit::text("a").session("s")).await;
    let call = fleet.next_call().await;
    let message = fleet.submit(Submit::text("b").session("s")).await;
    call.answer(reply_with_a_call(), FinishReason::ToolCalls);
    let reply = fleet
        .outcome(question)
        .await
        .reply
        .expect("the job has a reply");
    assert_eq!(reply.finish_reason, FinishReason::ToolCalls);
    assert_eq!((reply.text, reply.tool_calls.len()), (None, 1));
    let state = fleet.entry(message).await.state;
    assert!(
        matches!(
            state,
            State::Queued {
                not_before: Some(_)
            }
        ),
        "state: {state:?}"
    );

    fleet
        .submit(Submit::turns(vec![result_of_the_call()]).session("s"))
        .await;
    let call = fleet.next_call().await;
    assert_eq!(
        roles(&call.turns),
        [Role::User, Role::Assistant, Role::Tool]
    );
    call.reply("it is 42");
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "42", "it is 42", "b"]);
    call.reply("B");
    assert_eq!(fleet.outcome(message).await.status, Status::Completed);
}

#[tokio::test]
async fn a_reply_with_too_many_tool_calls_fails_without_a_retry() {
    let fleet = Fleet::start(settings(1));
    for (calls, status) in [
        (TOOL_CALLS_MAX, Status::Completed),
        (TOOL_CALLS_MAX + 1, Status::Failed),
    ] {
        let job = fleet.submit(Submit::text("a")).await;
        let mut reply = reply_with_a_call();
        reply.tool_calls = vec![reply.tool_calls.remove(0); calls];
        fleet
            .next_call()
            .await
            .answer(reply, FinishReason::ToolCalls);
        let outcome = fleet.outcome(job).await;
        assert_eq!((outcome.status, outcome.attempts.len()), (status, 1));
        let code = outcome.error.map(|error| error.code);
        let expected = (status == Status::Failed).then(|| "invalid_response".to_owned());
        assert_eq!(code, expected);
    }
}

#[tokio::test]
async fn without_a_tool_wait_missing_results_are_added() {
    let fleet = Fleet::start(settings(4));
    let mut submit = Submit::text("a").session("s");
    submit.request.tool_wait_s = 0;
    fleet.submit(submit).await;
    let call = fleet.next_call().await;
    let next = fleet.submit(Submit::text("b").session("s")).await;
    call.answer(reply_with_a_call(), FinishReason::ToolCalls);
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "", "no result", "b"]);
    call.reply("B");
    fleet.outcome(next).await;
    let texts: Vec<String> = fleet
        .session_turns("s")
        .await
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(texts, ["a", "", "no result", "b", "B"]);
}

#[tokio::test]
async fn without_a_session_there_is_no_hold() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet
        .next_call()
        .await
        .answer(reply_with_a_call(), FinishReason::ToolCalls);
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
}
