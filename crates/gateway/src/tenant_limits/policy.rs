//! The names of the limits, as responses and metrics have them.

/// A limit of a tenant: a policy of draft-ietf-httpapi-ratelimit-headers-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The requests in a window of time.
    Requests,
    /// The live jobs.
    Live,
}

// The name `tokens` is reserved for a limit on tokens.
impl Policy {
    /// The name of the policy.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Live => "live",
        }
    }
}
