//! The text formats of a scrape, and which of them a scraper gets.
//!
//! The default is Prometheus's text format 0.0.4. A scraper that prefers OpenMetrics 1.0, or accepts both equally by the
//! qualities in its `Accept` header (RFC 9110, section 12.5.1), gets OpenMetrics. OpenMetrics ends with a line `# EOF`, so a response
//! that was cut off is noticed.

use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format for a request with this `Accept` header. Several headers of a request must be joined by commas. Of the
    /// ranges that include a format, the most specific one applies (RFC 9110, section 12.5.1).
    #[must_use]
    pub fn accepted_by(accept: &str) -> Self {
        let ranges: Vec<MediaRange<'_>> = accept.split(',').map(MediaRange::parse).collect();
        let quality = |precision_of: &dyn Fn(&MediaRange<'_>) -> Option<u8>| {
            let matching = ranges
                .iter()
                .filter_map(|range| Some((precision_of(range)?, range.quality)));
            // Of several ranges with the same precision, the one with the highest quality applies.
            let best = matching.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            best.map(|(_, quality)| quality)
        };
        let open_metrics = quality(&|range| {
            let is_supported = |version: &str| version.starts_with("1.");
            (range.is("application/openmetrics-text") && range.version.is_none_or(is_supported))
                .then_some(2)
        });
        let text = quality(&|range| {
            let names = ["*/*", "text/*", "text/plain"];
            let precision = names.iter().position(|name| range.is(name))?;
            u8::try_from(precision).ok()
        });
        let (open_metrics, text) = (open_metrics.unwrap_or(0.0), text.unwrap_or(0.0));
        if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` of the format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes all metrics of a registry.
    pub(crate) fn encode(self, registry: &Registry) -> Result<String, std::fmt::Error> {
        let mut written = String::new();
        match self {
            Self::Text => prometheus_text::encode(&mut written, registry)?,
            Self::OpenMetrics => text::encode(&mut written, registry)?,
        }
        Ok(written)
    }
}

/// One media range of an `Accept` header.
struct MediaRange<'a> {
    name: &'a str,
    version: Option<&'a str>,
    quality: f64,
}

impl<'a> MediaRange<'a> {
    /// Whether the range has this name. The case of letters does not matter in media types.
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn parse(range: &'a str) -> Self {
        let mut parts = range.split(';').map(str::trim);
        let mut parsed = Self {
            name: parts.next().unwrap_or(""),
            version: None,
            quality: 1.0,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => parsed.version = Some(value.trim().trim_matches('"')),
                "q" => parsed.quality = value.trim().parse().unwrap_or(0.0),
                _ => {}
            }
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_scraper_gets_open_metrics_only_if_it_prefers_it() {
        for accept in [
            "",
            "*/*",
            "text/plain",
            "application/json",
            "text/html, application/xhtml+xml, */*;q=0.8",
            "application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;Q=0",
            "application/openmetrics-text;q=0.5, TEXT/PLAIN",
            "application/openmetrics-text;version=2.0.0",
            // Protobuf is not offered, so the next of the list applies.
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.7,text/plain;q=0.3",
        ] {
            assert_eq!(Format::accepted_by(accept), Format::Text, "{accept}");
        }
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0",
            "Application/OpenMetrics-Text; VERSION=1.0.0; Q=0.5",
            // The range of text/plain has precedence over that of all types.
            "application/openmetrics-text;q=0.5, text/plain;q=0, */*",
            "*/*, text/plain;q=0.1, application/openmetrics-text;q=0.5",
            // What Prometheus sends.
            "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert_eq!(Format::accepted_by(accept), Format::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn each_content_type_names_its_version() {
        assert_eq!(
            Format::Text.content_type(),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        assert!(Format::OpenMetrics.content_type().contains("version=1.0.0"));
    }
}
