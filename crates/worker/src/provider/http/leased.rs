//! A connection for one call.

use futures_util::future::Either;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};

use super::{
    connection::{Body, SharedConnection},
    shared::Place,
};

/// A connection for one call.
pub(super) enum Leased {
    /// A connection of its own.
    Own(http1::SendRequest<Body>),
    /// A place on a shared one.
    Shared {
        connection: SharedConnection,
        _place: Place,
    },
}

impl Leased {
    /// Whether no other call is on the connection.
    pub(super) const fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Sends a request; answers with the head of the answer, or with the request if it could not be sent.
    pub(super) fn send(
        &mut self,
        request: Box<Request<Body>>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + use<> {
        match self {
            Self::Own(sender) => Either::Left(sender.try_send_request(*request)),
            Self::Shared { connection, .. } => {
                Either::Right(connection.sender.try_send_request(*request))
            }
        }
    }
}
