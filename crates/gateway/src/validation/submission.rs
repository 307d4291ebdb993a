//! Parses and validates a submit's body, and turns it into a job's request.

use forebay_shared::{
    class::Class, document::UnknownFields, ids::SessionId, job::Request, lane::IfBusy, turn::Role,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    field_errors::FieldErrors,
    rules,
    schema::{SUBMIT, unreadable},
    submit_body::{EXPIRES_IN_S_DEFAULT, OpaqueValues, SubmitBody, TOOL_WAIT_S_DEFAULT},
};
use crate::problem::Problem;

/// A valid submit.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) request: Request,
    pub(crate) session: Option<SessionId>,
    /// The model that the submit names.
    pub(crate) model: Option<String>,
    pub(crate) class: Class,
    pub(crate) if_busy: IfBusy,
    /// Whether the input consists of tool results.
    pub(crate) is_tool_results: bool,
    pub(crate) expires_in_ms: u64,
    pub(crate) metadata: Map<String, Value>,
}

/// Parses and validates a submit. `has_default_model` is whether the gateway has a model for a submit that names none.
pub(crate) fn submission(body: &[u8], has_default_model: bool) -> Result<Submission, Problem> {
    let mut value = SUBMIT.parse_json(body)?;
    let mut errors = FieldErrors::default();
    SUBMIT.check(&value, &mut errors);
    rules::check(&value, has_default_model, &mut errors);
    errors.into_result()?;
    let mut values = OpaqueValues::default();
    SUBMIT.move_opaque(&mut value, &mut values);
    // The texts move out of the value: they are not copied.
    let body = SubmitBody::deserialize(value).map_err(|error| unreadable(&error))?;
    body.into_submission(values)
}

impl SubmitBody {
    fn into_submission(self, mut values: OpaqueValues) -> Result<Submission, Problem> {
        let values = &mut values;
        let session = self.session_id.as_deref().map(SessionId::parse);
        let session = session.transpose().map_err(|error| unreadable(&error))?;
        let input = self.input.map(|input| input.into_turns(values));
        let input = input.unwrap_or_default();
        let replace_from_turn = self.replace_from_turn.map(u64::from);
        let context = self.context.unwrap_or_default();
        let tools = self.tools.unwrap_or_default();
        Ok(Submission {
            is_tool_results: input.first().is_some_and(|turn| turn.role == Role::Tool),
            request: Request {
                v: Request::version_for(replace_from_turn),
                input,
                replace_from_turn,
                instructions: self.instructions,
                tools: tools.into_iter().map(|tool| tool.stored(values)).collect(),
                tool_choice: self.tool_choice.map(Into::into),
                response_format: self.response_format.map(|format| format.stored(values)),
                reasoning_effort: self.reasoning_effort.map(Into::into),
                temperature: self.temperature,
                top_p: self.top_p,
                stop: self.stop.map(Into::into),
                max_output_tokens: self.max_output_tokens,
                context: context.stored(),
                tool_wait_s: self.tool_wait_s.unwrap_or(TOOL_WAIT_S_DEFAULT),
                extra_body: values.take_object(self.extra_body).unwrap_or_default(),
                unknown: UnknownFields::NONE,
            },
            session,
            model: self.model,
            class: self.priority.unwrap_or_default(),
            if_busy: self.if_busy.unwrap_or_default(),
            expires_in_ms: u64::from(self.expires_in_s.unwrap_or(EXPIRES_IN_S_DEFAULT)) * 1_000,
            metadata: self.metadata.unwrap_or_default(),
        })
    }
}
