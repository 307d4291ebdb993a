//! The sampler: which traces are recorded (`OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`).

use opentelemetry_sdk::trace::Sampler;

use super::setting_error::SettingError;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler that the variables name. By default it records every trace, except those that the client does not record.
///
/// # Errors
/// [`SettingError`], with what is allowed.
pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, SettingError> {
    let name = variable(SAMPLER);
    let sampler = match name.as_deref().unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio(variable)?,
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "parentbased_traceidratio" => parent_based(ratio(variable)?),
        _ => {
            let allowed = "must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or \
                           parentbased_traceidratio";
            return Err(SettingError::new(SAMPLER, allowed));
        }
    };
    Ok(sampler)
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}

/// Records this share of the traces; all of them without an argument.
fn ratio(variable: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, SettingError> {
    let Some(text) = variable(ARGUMENT) else {
        return Ok(Sampler::TraceIdRatioBased(1.0));
    };
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share
        .map(Sampler::TraceIdRatioBased)
        .ok_or_else(|| SettingError::new(ARGUMENT, "must be a number from 0 to 1, such as 0.1"))
}
