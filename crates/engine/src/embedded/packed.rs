//! The compact form of a wake in the in-process queue, which may hold a hundred thousand.

use forebay_shared::{class::Class, ids::JobId, time::TimeMs, wake::Wake};

/// A wake without its class, which its queue has.
#[derive(Debug)]
pub(super) struct Packed {
    job: JobId,
    admitted_at: TimeMs,
    sent_at: TimeMs,
    /// Tenant, session, model and trace context, as a JSON array: one allocation instead of four.
    names: Box<str>,
}

impl Packed {
    pub(super) fn of(wake: &Wake) -> Self {
        let names = (&wake.tenant, &wake.session, &wake.model, &wake.traceparent);
        Self {
            job: wake.job,
            admitted_at: wake.admitted_at,
            sent_at: wake.sent_at,
            // Names can always be written as JSON.
            names: serde_json::to_string(&names).unwrap_or_default().into(),
        }
    }

    /// The original wake. `None` if the names cannot be read back, which does not happen.
    pub(super) fn unpack(&self, class: Class) -> Option<Wake> {
        let (tenant, session, model, traceparent) = serde_json::from_str(&self.names).ok()?;
        Some(Wake {
            v: Wake::VERSION,
            job: self.job,
            tenant,
            session,
            class,
            model,
            admitted_at: self.admitted_at,
            sent_at: self.sent_at,
            traceparent,
        })
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::ids::{SessionId, TenantId};

    use super::*;

    #[test]
    fn a_wake_comes_out_as_it_went_in() {
        let tenant = TenantId::parse("acme").unwrap();
        let session = SessionId::parse("chat-42").unwrap();
        let full = Wake {
            v: Wake::VERSION,
            job: JobId::fresh(&tenant, Some(&session)),
            tenant: tenant.clone(),
            session: Some(session),
            class: Class::Batch,
            model: Some(String::from("a \"model\"")),
            admitted_at: TimeMs(1),
            sent_at: TimeMs(2),
            traceparent: Some(String::from(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )),
        };
        let bare = Wake {
            session: None,
            model: None,
            traceparent: None,
            ..full.clone()
        };
        for wake in [full, bare] {
            assert_eq!(Packed::of(&wake).unpack(wake.class), Some(wake));
        }
    }
}
