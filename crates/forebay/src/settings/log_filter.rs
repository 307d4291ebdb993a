//! Checks the filter of `FOREBAY_LOG`. A filter that matches nothing would silence the log, warnings and errors included.

use tracing_subscriber::EnvFilter;

/// The crates that write log lines. A target in a filter matches something if it is one of these names, the start of one, or a module
/// of one of these crates.
const CRATES: [&str; 14] = [
    "forebay",
    "forebay_engine",
    "forebay_gateway",
    "forebay_runtime",
    "forebay_worker",
    "amq_protocol_tcp",
    "h2",
    "hickory_net",
    "hickory_proto",
    "hickory_resolver",
    "hyper_util",
    "lapin",
    "tower_http",
    "tracing",
];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Returns the filter, without spaces between its parts, if it is valid and matches something.
///
/// # Errors
/// What is wrong, and what to write.
pub(super) fn check(text: &str) -> Result<String, String> {
    let refuse = |reason: String| {
        format!(
            "FOREBAY_LOG must be a level ({levels}), or a list such as warn,forebay_worker=debug: {reason}",
            levels = LEVELS.join(", ")
        )
    };
    // tracing-subscriber accepts no spaces.
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    let text = directives.join(",");
    EnvFilter::try_new(&text).map_err(|error| refuse(error.to_string()))?;
    let mut matches = false;
    for directive in directives {
        match directive.split_once('=') {
            // tracing-subscriber takes any other word as the name of a crate, and shows only the lines of this crate.
            None if !directive.is_empty()
                && !is_level(directive)
                && !is_of_crate(directive)
                && !directive.contains('[') =>
            {
                return Err(refuse(format!(
                    "\"{directive}\" is neither a level nor a crate"
                )));
            }
            None => matches |= !directive.is_empty(),
            Some((target, _)) => matches |= is_of_crate(target) || target.contains('['),
        }
    }
    if matches {
        Ok(text)
    } else {
        Err(refuse(format!("no log line matches \"{text}\"")))
    }
}

fn is_level(word: &str) -> bool {
    // tracing accepts numbers too: 0 is off, and 5 is trace.
    let is_number = word.parse().is_ok_and(|number: u8| number <= 5);
    is_number || LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

/// Whether lines of one of the crates have this target.
fn is_of_crate(target: &str) -> bool {
    CRATES.iter().any(|name| {
        let module = target.strip_prefix(name);
        name.starts_with(target) || module.is_some_and(|module| module.starts_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn levels_crates_and_modules_are_accepted() {
        for text in [
            "info",
            "INFO",
            "off",
            "3",
            "warn,forebay_worker=debug",
            "forebay_worker::attempt=trace",
            "forebay=debug",
            "forebay",
            "info, hyper_util=debug",
            "info,some_crate=warn",
            "h2[conn]=debug",
            "info,",
        ] {
            assert_eq!(check(text), Ok(text.replace(' ', "")));
        }
    }

    #[test]
    fn a_filter_that_matches_nothing_is_refused_with_what_to_write() {
        for text in [
            "verbose",
            "warning",
            "info,verbose",
            "6",
            "forebay_wroker=debug",
            "worker=debug,gateway=debug",
            "",
            ",",
            "=,=,=",
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains("FOREBAY_LOG"), "{error}");
            assert!(error.contains("warn,forebay_worker=debug"), "{error}");
        }
    }
}
