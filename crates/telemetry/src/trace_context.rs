//! The W3C trace context (Trace Context, level 1): which trace and which span a request, a job or a wake belongs to.

use std::fmt;

/// The length of each part of a `traceparent`, in hex digits.
const VERSION_DIGITS: usize = 2;
const TRACE_ID_DIGITS: usize = 32;
const SPAN_ID_DIGITS: usize = 16;
const FLAGS_DIGITS: usize = 2;

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 0x01;

/// The flags that are passed on: those of level 1, and the one of level 2 for a random trace id.
const FLAGS_KNOWN: u8 = SAMPLED | 0x02;

/// A trace and one of its spans. Its text form is the value of a `traceparent` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    is_remote: bool,
}

impl TraceContext {
    /// The context of a span of this process.
    pub(crate) const fn local(trace_id: u128, span_id: u64, flags: u8) -> Self {
        Self {
            trace_id,
            span_id,
            flags,
            is_remote: false,
        }
    }

    /// Reads the form `version-traceid-parentid-flags` in lower-case hex. `None` if the text has another form, if one of the ids
    /// is zero, or if the version is `ff`. A later version than `00` may have further parts, which are ignored. So are flags that
    /// version `00` does not define, because they must not be passed on.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, VERSION_DIGITS)?;
        let trace_id = hex(parts.next()?, TRACE_ID_DIGITS)?;
        let span_id = hex(parts.next()?, SPAN_ID_DIGITS)?;
        let flags = hex(parts.next()?, FLAGS_DIGITS)?;
        let has_more = parts.next().is_some();
        if (has_more && version == 0) || version == 0xff || trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            flags: u8::try_from(flags).ok()? & FLAGS_KNOWN,
            is_remote: true,
        })
    }

    /// The id of the trace, never zero. Written as 32 hex digits.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of the span, never zero. Written as 16 hex digits.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(crate) const fn flags(&self) -> u8 {
        self.flags
    }

    pub(crate) const fn is_remote(&self) -> bool {
        self.is_remote
    }
}

/// Reads exactly this many lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != digits || !is_hex {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id, flags) = (self.trace_id, self.span_id, self.flags);
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_in_the_standard_form() {
        let context = TraceContext::parse(SAMPLED).expect("the text is valid");
        assert!(context.is_sampled());
        assert_eq!(
            context.trace_id(),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
        );
        assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.to_string(), SAMPLED);
        let unsampled = SAMPLED.replace("-01", "-00");
        let context = TraceContext::parse(&unsampled).expect("the text is valid");
        assert!(!context.is_sampled());
        assert_eq!(context.to_string(), unsampled);
    }

    #[test]
    fn a_later_version_is_read_by_its_first_parts() {
        for later in ["01-x", "cc-", "fe-1-2"].map(|text| text.split_at(2)) {
            let (version, more) = later;
            let text = format!("{version}{}{more}", &SAMPLED[2..]);
            let context = TraceContext::parse(&text).expect("a later version");
            assert_eq!(context.to_string(), SAMPLED);
        }
        let text = SAMPLED.replacen("00", "01", 1);
        assert!(TraceContext::parse(&text).is_some());
        assert_eq!(TraceContext::parse(&format!("{text}x")), None);
    }

    #[test]
    fn unknown_flags_are_not_passed_on() {
        let text = SAMPLED.replace("-01", "-ff");
        let context = TraceContext::parse(&text).expect("the text is valid");
        assert_eq!(context.to_string(), SAMPLED.replace("-01", "-03"));
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            "",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad} was accepted");
        }
    }
}
