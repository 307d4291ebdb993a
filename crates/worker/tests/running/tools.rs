//! Replies that call tools.

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Status},
    lane::State,
    turn::{FunctionCall, FunctionKind, Role, ToolCall, Turn},
};

use crate::harness::{Fleet, Submit, settings};

fn calls_a_tool() -> Turn {
    let call = ToolCall {
        id: "call_1".to_owned(),
        kind: FunctionKind::Function,
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

fn result() -> Turn {
    Turn {
        tool_call_id: Some("call_1".to_owned()),
        ..Turn::text(Role::Tool, "42")
    }
}

fn roles(turns: &[Turn]) -> Vec<Role> {
    turns.iter().map(|turn| turn.role.clone()).collect()
}

#[tokio::test]
async fn results_pass_a_waiting_message() {
    let fleet = Fleet::start(settings(4));
    let question = fleet.submit(Submit::text("a").session("s")).await;
    let asked = fleet.asked().await;
    let message = fleet.submit(Submit::text("b").session("s")).await;
    asked.answer(calls_a_tool(), FinishReason::ToolCalls);
    let reply = fleet.ended(question).await.reply.expect("a reply");
    assert_eq!(reply.finish_reason, FinishReason::ToolCalls);
    assert_eq!((reply.text, reply.tool_calls.len()), (None, 1));
    let held = fleet.live(message).await.state;
    assert!(
        matches!(
            held,
            State::Queued {
                not_before: Some(_)
            }
        ),
        "{held:?}"
    );

    fleet
        .submit(Submit::turns(vec![result()]).session("s"))
        .await;
    let asked = fleet.asked().await;
    assert_eq!(
        roles(&asked.turns),
        [Role::User, Role::Assistant, Role::Tool]
    );
    asked.say("it is 42");
    let asked = fleet.asked().await;
    assert_eq!(asked.texts(), ["a", "", "42", "it is 42", "b"]);
    asked.say("B");
    assert_eq!(fleet.ended(message).await.status, Status::Completed);
}

#[tokio::test]
async fn calls_that_nobody_waits_for_get_no_result() {
    let fleet = Fleet::start(settings(4));
    let mut submit = Submit::text("a").session("s");
    submit.request.tool_wait_s = 0;
    fleet.submit(submit).await;
    let asked = fleet.asked().await;
    let next = fleet.submit(Submit::text("b").session("s")).await;
    asked.answer(calls_a_tool(), FinishReason::ToolCalls);
    let asked = fleet.asked().await;
    assert_eq!(asked.texts(), ["a", "", "no result", "b"]);
    asked.say("B");
    fleet.ended(next).await;
    let held: Vec<String> = fleet
        .session("s")
        .await
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(held, ["a", "", "no result", "b", "B"]);
}

#[tokio::test]
async fn without_a_session_nobody_waits() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    fleet
        .asked()
        .await
        .answer(calls_a_tool(), FinishReason::ToolCalls);
    assert_eq!(fleet.ended(job).await.status, Status::Completed);
}
