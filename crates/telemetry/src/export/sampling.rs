//! The sampler: which traces are recorded (`OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`).

use opentelemetry_sdk::trace::Sampler;

use super::variables::Variables;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler that the variables name. By default, and for an unknown name, it records every trace, except those that the client
/// does not record.
pub(super) fn read(variables: &Variables<'_>) -> Sampler {
    let name = variables.word(SAMPLER);
    match name.as_deref().unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio(variables),
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "parentbased_traceidratio" => parent_based(ratio(variables)),
        _ => {
            let allowed = "must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or \
                           parentbased_traceidratio";
            variables.ignore(SAMPLER, allowed);
            parent_based(Sampler::AlwaysOn)
        }
    }
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}

/// A sampler that records the share of traces that the argument sets. Without a valid argument, it records all.
fn ratio(variables: &Variables<'_>) -> Sampler {
    let share = variables.text(ARGUMENT).and_then(|text| {
        let share = text.parse().ok();
        let share = share.filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            variables.ignore(ARGUMENT, "must be a number from 0 to 1, such as 0.1");
        }
        share
    });
    Sampler::TraceIdRatioBased(share.unwrap_or(1.0))
}
