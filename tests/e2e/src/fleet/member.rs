//! One process of a fleet: a [`Forebay`] with its name and its settings.

use std::ops::{Deref, DerefMut};

use crate::process::{Builder, Forebay};

/// A gateway or a worker. A member dereferences to its [`Forebay`].
pub struct Member {
    forebay: Forebay,
    name: String,
    builder: Builder,
}

impl Member {
    pub(super) async fn start(builder: Builder) -> Self {
        let forebay = builder.start().await;
        let name = name_in(&forebay.logs());
        Self {
            forebay,
            name,
            builder,
        }
    }

    /// The name of the process: in `attempts[].worker`, in the names of its connections to RabbitMQ, and in its
    /// presence.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn restart(&mut self) {
        assert!(
            !self.forebay.is_running(),
            "{} still runs, so it cannot be started again",
            self.name
        );
        *self = Self::start(self.builder.clone()).await;
    }
}

impl Deref for Member {
    type Target = Forebay;

    fn deref(&self) -> &Forebay {
        &self.forebay
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Forebay {
        &mut self.forebay
    }
}

/// The name of the process, which it logs when it is ready.
fn name_in(log: &str) -> String {
    let name = log
        .split_whitespace()
        .find_map(|word| word.strip_prefix("process="));
    match name {
        Some(name) => name.to_owned(),
        None => panic!("the process did not log its name:\n{log}"),
    }
}
