//! The limits in an entry of the providers file: `rpm`, `tpm` and `concurrency`, for the entry and for models of it.

use std::collections::BTreeMap;

use forebay_shared::account::ConfiguredLimits;
use serde::Deserialize;

/// The highest limit.
const LIMIT_MAX: u32 = 10_000_000;

/// The most models of an entry that have limits of their own.
const MODELS_MAX: usize = 100;

/// The longest name of a model with limits, in bytes.
const MODEL_BYTES_MAX: usize = 256;

/// The limits in a table, before they are checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TomlLimits {
    pub(super) rpm: Option<i64>,
    pub(super) tpm: Option<i64>,
    pub(super) concurrency: Option<i64>,
}

/// The limits of an entry.
#[derive(Clone, Debug, Default)]
pub(in crate::provider) struct EntryLimits {
    /// The limits on all calls of the provider together.
    pub(in crate::provider) provider: ConfiguredLimits,
    /// Further limits of single models, by the name that is sent.
    pub(in crate::provider) models: BTreeMap<String, ConfiguredLimits>,
}

impl EntryLimits {
    /// Checks the limits of an entry and those of its models.
    ///
    /// # Errors
    /// What is wrong, naming the field and the model.
    pub(super) fn check(
        provider: &TomlLimits,
        models: BTreeMap<String, TomlLimits>,
    ) -> Result<Self, String> {
        if models.len() > MODELS_MAX {
            return Err(format!("limits may have at most {MODELS_MAX} models"));
        }
        let provider = provider.check()?;
        let mut checked = BTreeMap::new();
        for (model, toml) in models {
            check_model(&model)?;
            let limits = toml
                .check()
                .map_err(|message| format!("limits.\"{model}\": {message}"))?;
            if limits.is_empty() {
                return Err(format!(
                    "limits.\"{model}\" has no limit; set rpm, tpm or concurrency, or remove it"
                ));
            }
            checked.insert(model, limits);
        }
        Ok(Self {
            provider,
            models: checked,
        })
    }
}

impl TomlLimits {
    fn check(&self) -> Result<ConfiguredLimits, String> {
        Ok(ConfiguredLimits {
            requests_per_minute: check_limit("rpm", self.rpm)?,
            tokens_per_minute: check_limit("tpm", self.tpm)?,
            concurrency: check_limit("concurrency", self.concurrency)?,
        })
    }
}

fn check_limit(field: &str, value: Option<i64>) -> Result<Option<u32>, String> {
    let Some(value) = value else { return Ok(None) };
    let limit = u32::try_from(value).ok();
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.map(Some).ok_or_else(|| {
        format!("{field} must be from 1 to {LIMIT_MAX}, not {value}; leave it out for no limit")
    })
}

fn check_model(model: &str) -> Result<(), String> {
    if model.is_empty() || model.contains('*') {
        return Err(format!(
            "limits: \"{model}\" must be the name of one model, as it is sent to the provider"
        ));
    }
    if model.len() > MODEL_BYTES_MAX {
        return Err(format!(
            "limits: the name of a model may have at most {MODEL_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use forebay_shared::account::ConfiguredLimits;

    use super::{MODEL_BYTES_MAX, MODELS_MAX, TomlLimits};
    use crate::provider::file::ProvidersFile;

    fn parse(limits: &str) -> Result<ProvidersFile, String> {
        let text = format!("[providers.a]\nbase_url = \"https://x.example\"\n{limits}");
        ProvidersFile::parse(&text, &|_| None).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_of_an_entry_and_of_its_models_are_read() {
        let file = parse(
            "rpm = 600\ntpm = 10000000\nconcurrency = 1\n\
             [providers.a.limits.\"x/gpt-5\"]\nrpm = 60\n\
             [providers.a.limits.m]\ntpm = 7\nconcurrency = 2",
        )
        .expect("the file is valid");
        let limits = &file.entries["a"].limits;
        let expected = ConfiguredLimits {
            requests_per_minute: Some(600),
            tokens_per_minute: Some(10_000_000),
            concurrency: Some(1),
        };
        assert_eq!(limits.provider, expected);
        let gpt = ConfiguredLimits {
            requests_per_minute: Some(60),
            ..ConfiguredLimits::default()
        };
        let m = ConfiguredLimits {
            tokens_per_minute: Some(7),
            concurrency: Some(2),
            ..ConfiguredLimits::default()
        };
        let models = [("x/gpt-5", gpt), ("m", m)].map(|(name, limits)| (name.to_owned(), limits));
        assert_eq!(limits.models, BTreeMap::from(models));
    }

    #[test]
    fn an_entry_without_limits_has_none() {
        let file = parse("").expect("the file is valid");
        let limits = &file.entries["a"].limits;
        assert!(limits.provider.is_empty() && limits.models.is_empty());
    }

    #[test]
    fn errors_name_the_entry_the_model_and_the_range() {
        let long = "m".repeat(MODEL_BYTES_MAX + 1);
        for (limits, parts) in [
            (
                "rpm = 0",
                vec!["providers.a", "rpm must be from 1 to 10000000, not 0"],
            ),
            ("tpm = 10000001", vec!["providers.a", "tpm", "not 10000001"]),
            (
                "concurrency = -1",
                vec!["providers.a", "concurrency", "not -1"],
            ),
            // The lowest 32 bits of this number are a valid limit.
            ("rpm = 4294967297", vec!["rpm must be", "not 4294967297"]),
            ("rpm = 1.5", vec!["line 3"]),
            ("rpm = \"60\"", vec!["line 3"]),
            (
                "[providers.a.limits.\"gpt-5\"]\nrpm = 0",
                vec!["providers.a", "limits.\"gpt-5\"", "rpm must be"],
            ),
            (
                "[providers.a.limits.\"gpt-5\"]",
                vec!["providers.a", "limits.\"gpt-5\" has no limit"],
            ),
            (
                "[providers.a.limits.\"gpt-5\"]\nrps = 1",
                vec!["line 4", "rps"],
            ),
            (
                "[providers.a.limits.\"gpt-*\"]\nrpm = 1",
                vec!["providers.a", "\"gpt-*\"", "one model"],
            ),
            (
                "[providers.a.limits.\"\"]\nrpm = 1",
                vec!["providers.a", "one model"],
            ),
            (
                &format!("[providers.a.limits.{long}]\nrpm = 1"),
                vec!["providers.a", "256 bytes"],
            ),
        ] {
            let error = parse(limits).expect_err("the limits are refused");
            for part in parts {
                assert!(
                    error.contains(part),
                    "the error of {limits} lacks {part}: {error}"
                );
            }
        }
    }

    #[test]
    fn the_limits_in_the_readme_are_valid() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).expect("the README is readable");
        let after = readme.split_once("<!-- recipe-limits -->\n```toml\n");
        let (_, after) = after.expect("the README has the block");
        let (block, _) = after.split_once("```").expect("the block ends");
        let file = ProvidersFile::parse(block, &|_| None).expect("the file is valid");
        let limits = &file.entries["hosted"].limits;
        assert_eq!(limits.provider.concurrency, Some(50));
        assert_eq!(limits.models["big-model"].requests_per_minute, Some(60));
    }

    #[test]
    fn the_models_with_limits_are_bounded() {
        let models = |count: usize| {
            (0..count)
                .map(|number| {
                    let limits = TomlLimits {
                        rpm: Some(1),
                        ..TomlLimits::default()
                    };
                    (format!("m{number}"), limits)
                })
                .collect()
        };
        let check = |count| super::EntryLimits::check(&TomlLimits::default(), models(count));
        assert!(check(MODELS_MAX).is_ok());
        let error = check(MODELS_MAX + 1).expect_err("these are too many");
        assert!(error.contains("at most 100 models"), "{error}");
    }
}
