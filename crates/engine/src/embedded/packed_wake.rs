//! The form in which the queue stores a wake. It is small, because the queue may store 131,072 wakes of each class. So it contains
//! no copy of the lane.

use forebay_shared::{class::Class, ids::JobId, time::TimeMs, wake::Wake};

/// A wake without its class. The queue knows the class, because it has one list for each class.
#[derive(Debug)]
pub(super) struct PackedWake {
    job: JobId,
    admitted_at: TimeMs,
    sent_at: TimeMs,
    /// Tenant, session, model, permit and trace context, as a JSON array. One allocation instead of many saves memory.
    names: Box<str>,
}

impl PackedWake {
    pub(super) fn of(wake: &Wake) -> Self {
        let names = (
            &wake.tenant,
            &wake.session,
            &wake.model,
            &wake.permit,
            &wake.traceparent,
        );
        Self {
            job: wake.job,
            admitted_at: wake.admitted_at,
            sent_at: wake.sent_at,
            // Strings can always be written as JSON, so the default is never used.
            names: serde_json::to_string(&names).unwrap_or_default().into(),
        }
    }

    /// The job to wake.
    pub(super) const fn job(&self) -> JobId {
        self.job
    }

    /// Restores the wake. `None` if the names cannot be parsed, which never happens, because [`of`](Self::of) wrote them.
    pub(super) fn unpack(&self, class: Class) -> Option<Wake> {
        let (tenant, session, model, permit, traceparent) =
            serde_json::from_str(&self.names).ok()?;
        Some(Wake {
            v: Wake::VERSION,
            job: self.job,
            tenant,
            session,
            class,
            model,
            permit,
            admitted_at: self.admitted_at,
            sent_at: self.sent_at,
            lane_copy: None,
            traceparent,
        })
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        account::AccountKey,
        ids::{ProcessId, SessionId, TenantId},
        wake::WakePermit,
    };

    use super::*;

    #[test]
    fn unpacking_restores_the_packed_wake() {
        let tenant = TenantId::parse("acme").unwrap();
        let session = SessionId::parse("chat-42").unwrap();
        let full = Wake {
            v: Wake::VERSION,
            job: JobId::fresh(&tenant, Some(&session)),
            tenant: tenant.clone(),
            session: Some(session),
            class: Class::Batch,
            model: Some(String::from("a \"model\"")),
            permit: Some(WakePermit {
                account: AccountKey::of_model("acme", "large"),
                process: ProcessId::parse("sweeper").unwrap(),
            }),
            admitted_at: TimeMs(1),
            sent_at: TimeMs(2),
            lane_copy: None,
            traceparent: Some(String::from(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )),
        };
        let bare = Wake {
            session: None,
            model: None,
            permit: None,
            traceparent: None,
            ..full.clone()
        };
        for wake in [full, bare] {
            assert_eq!(PackedWake::of(&wake).unpack(wake.class), Some(wake));
        }
    }
}
