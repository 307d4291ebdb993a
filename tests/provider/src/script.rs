//! Chooses the reply to a request: a queued reply whose marker the request contains, or else a rule's reply, or else
//! the default reply.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{gate::Barrier, reply::ScriptedReply, request::ChatRequest};

type Rule = dyn FnMut(&ChatRequest) -> Option<ScriptedReply> + Send;

/// The script of one server.
#[derive(Default)]
pub(super) struct Script {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    queues: Vec<(String, VecDeque<ScriptedReply>)>,
    rules: Vec<Box<Rule>>,
    barriers: Vec<Barrier>,
}

impl Script {
    pub(super) fn add_rule(
        &self,
        rule: impl FnMut(&ChatRequest) -> Option<ScriptedReply> + Send + 'static,
    ) {
        self.lock().rules.push(Box::new(rule));
    }

    pub(super) fn add_queue(&self, marker: &str, replies: impl IntoIterator<Item = ScriptedReply>) {
        let replies = replies.into_iter().collect();
        self.lock().queues.push((marker.to_owned(), replies));
    }

    pub(super) fn add_barrier(&self, barrier: Barrier) {
        self.lock().barriers.push(barrier);
    }

    /// The reply to this request. The oldest matching queue that still has a reply takes precedence, then the oldest
    /// rule that returns one.
    pub(super) fn reply_to(&self, request: &ChatRequest) -> ScriptedReply {
        let text = request.last_user_text();
        let mut inner = self.lock();
        let queued = inner
            .queues
            .iter_mut()
            .filter(|(marker, _)| text.contains(marker))
            .find_map(|(_, replies)| replies.pop_front());
        queued
            .or_else(|| inner.rules.iter_mut().find_map(|rule| rule(request)))
            .unwrap_or(ScriptedReply::TurnNumbers)
    }

    /// The barriers at which this request has to wait, oldest first.
    pub(super) fn barriers_for(&self, request: &ChatRequest) -> Vec<Barrier> {
        let inner = self.lock();
        let barriers = inner
            .barriers
            .iter()
            .filter(|barrier| barrier.stops(request));
        barriers.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
