//! The jobs that tests submit.

use forebay_shared::{
    class::Class,
    ids::SessionId,
    job::Request,
    lane::IfBusy,
    turn::{Role, Turn},
};

/// A job to submit.
pub(crate) struct Submit {
    pub(crate) session: Option<SessionId>,
    pub(crate) class: Class,
    pub(crate) model: String,
    pub(crate) request: Request,
    pub(crate) expires_in_ms: u64,
    pub(crate) if_busy: IfBusy,
}

impl Submit {
    /// An interactive job without a session. Its input is one user turn.
    pub(crate) fn text(text: &str) -> Self {
        Self::turns(vec![Turn::text(Role::User, text)])
    }

    /// An interactive job without a session. Its input is these turns.
    pub(crate) fn turns(input: Vec<Turn>) -> Self {
        Self {
            session: None,
            class: Class::Interactive,
            model: "m".to_owned(),
            request: Request {
                input,
                tool_wait_s: 60,
                ..Request::default()
            },
            expires_in_ms: 3_600_000,
            if_busy: IfBusy::Enqueue,
        }
    }

    pub(crate) fn session(mut self, name: &str) -> Self {
        self.session = Some(SessionId::parse(name).expect("the session id is valid"));
        self
    }

    pub(crate) fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    pub(crate) fn batch(mut self) -> Self {
        self.class = Class::Batch;
        self
    }
}
