//! Tests of which provider gets which model, and of the errors for settings that cannot be used.

use forebay_shared::{account::AccountKey, secret::Secret};

use super::{OPENAI_BASE_URL, ProviderRegistry, ProviderSettings};
use crate::provider::{
    CallAccounts, KeyState, ProviderSummary, file::ProvidersFile, http::Proxies,
};

const FILE: &str = r#"
    [providers.local]
    base_url = "http://127.0.0.1:11434/v1"
    models = ["llama-*", "gemini-imitation", "llama-3-vision"]

    [providers.big]
    base_url = "https://big.example/v1"
    key_env = "BIG_KEY"
    models = ["llama-3-*", "openai/gpt-oss-*", "local/shared"]

    [providers.router]
    base_url = "http://127.0.0.1:4000"
    keep_prefix = true
"#;

const WITH_KEYS: bool = true;
const WITHOUT_KEYS: bool = false;

fn settings(with_keys: bool) -> ProviderSettings {
    let key = with_keys.then(|| Secret::new("sk-for-tests"));
    ProviderSettings {
        openai_api_key: key.clone(),
        gemini_api_key: key,
        file: ProvidersFile::parse(FILE, &|_| with_keys.then(|| String::from("sk-big")))
            .expect("the file is valid"),
        ..ProviderSettings::default()
    }
}

#[test]
fn each_model_is_resolved_to_its_provider_and_the_name_that_is_sent() {
    let registry = ProviderRegistry::new(settings(WITH_KEYS)).expect("the registry is created");
    for (model, provider, model_sent) in [
        ("gpt-5", "openai", "gpt-5"),
        ("simulated", "simulated", "simulated"),
        ("simulated/fast", "simulated", "fast"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        ("gemini/tuned", "gemini", "tuned"),
        ("openai/gemini-2.5-flash", "openai", "gemini-2.5-flash"),
        ("meta/llama", "openai", "meta/llama"),
        ("openai/meta/llama", "openai", "meta/llama"),
        ("local/anything", "local", "anything"),
        ("llama-2", "local", "llama-2"),
        ("llama-3-8b", "big", "llama-3-8b"),
        ("llama-3-vision", "local", "llama-3-vision"),
        ("gemini-imitation", "local", "gemini-imitation"),
        // A listed model is sent under its whole name, also if it begins with the name of a provider.
        ("openai/gpt-oss-20b", "big", "openai/gpt-oss-20b"),
        ("local/shared", "big", "local/shared"),
        ("local/*", "local", "*"),
        // An entry with `keep_prefix` gets the model with its prefix.
        ("router/auto", "router", "router/auto"),
        ("router/acme/large", "router", "router/acme/large"),
        ("router/*", "router", "*"),
    ] {
        let (found, name) = registry.resolve(model).expect("the model has a provider");
        assert_eq!(
            (found.name(), name.as_str()),
            (provider, model_sent),
            "model {model}"
        );
    }
    for model in ["openai/", "router/"] {
        let error = registry
            .resolve(model)
            .err()
            .expect("the name has no model");
        assert_eq!(error.code, "invalid_request");
    }
}

#[test]
fn an_entry_that_lists_all_models_gets_them_under_their_whole_names() {
    let file = r#"
        [providers.all]
        base_url = "http://127.0.0.1:4000"
        models = ["*"]

        [providers.local]
        base_url = "http://127.0.0.1:11434/v1"
        models = ["qwen3"]
    "#;
    let registry = ProviderRegistry::new(ProviderSettings {
        file: ProvidersFile::parse(file, &|_| None).expect("the file is valid"),
        ..ProviderSettings::default()
    })
    .expect("the registry is created");
    for (model, provider) in [
        ("openai/gpt-5", "all"),
        ("gemini-2.5-flash", "all"),
        ("qwen3", "local"),
    ] {
        let (found, name) = registry.resolve(model).expect("the model has a provider");
        assert_eq!((found.name(), name.as_str()), (provider, model));
    }
}

#[test]
fn an_openai_compatible_server_needs_no_key_but_gemini_does() {
    let settings = ProviderSettings {
        openai_base_url: String::from("http://127.0.0.1:11434/v1"),
        ..ProviderSettings::default()
    };
    let registry = ProviderRegistry::new(settings).expect("the registry is created");
    assert!(registry.resolve("qwen3").is_ok());
    assert!(registry.resolve("gemini-2.5-flash").is_err());
}

#[test]
fn jobs_without_a_model_get_the_only_model_of_the_only_server() {
    const ENTRY: &str = "[providers.local]\nbase_url = \"http://127.0.0.1:11434/v1\"\n";
    const ENTRIES: &str =
        "[providers.a]\nbase_url = \"http://a\"\n[providers.b]\nbase_url = \"http://b\"\n";
    const OTHER: &str = "http://127.0.0.1:8000/v1";
    for (url, key, file, model) in [
        (OPENAI_BASE_URL, false, "", Some("simulated")),
        (OPENAI_BASE_URL, true, "", None),
        (OTHER, false, "", Some("openai/*")),
        (OTHER, true, ENTRY, Some("openai/*")),
        (OPENAI_BASE_URL, false, ENTRY, Some("local/*")),
        (OPENAI_BASE_URL, true, ENTRY, None),
        (OPENAI_BASE_URL, false, ENTRIES, None),
    ] {
        let settings = ProviderSettings {
            openai_base_url: url.to_owned(),
            openai_api_key: key.then(|| Secret::new("sk-for-tests")),
            file: ProvidersFile::parse(file, &|_| None).expect("the file is valid"),
            ..ProviderSettings::default()
        };
        let registry = ProviderRegistry::new(settings).expect("the registry is created");
        assert_eq!(registry.default_model(), model, "{url} {key} {file}");
    }
}

#[test]
fn a_summary_shows_the_url_and_the_key_variable_of_each_provider() {
    let registry = ProviderRegistry::new(settings(WITHOUT_KEYS)).expect("the registry is created");
    let shown = |summary: &ProviderSummary| {
        let ProviderSummary {
            name,
            url,
            key,
            models,
            ..
        } = summary;
        format!("{name} | {url} | {key} | {models}")
    };
    let shown: Vec<String> = registry.summaries().iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "openai | https://api.openai.com/v1 | OPENAI_API_KEY is not set | openai/…, any other",
            "gemini | https://generativelanguage.googleapis.com/v1beta | GEMINI_API_KEY is not set | gemini/…, gemini-*",
            "big | https://big.example/v1 | BIG_KEY is not set | big/…, llama-3-*, openai/gpt-oss-*, local/shared",
            "local | http://127.0.0.1:11434/v1 | none | local/…, llama-*, gemini-imitation, llama-3-vision",
            "router | http://127.0.0.1:4000/ | none | router/…",
        ]
    );
    let summary = registry
        .summary_for("llama-3-8b")
        .expect("an entry lists the model");
    assert_eq!(summary.url_setting, "base_url of [providers.big]");
    assert_eq!(summary.key, KeyState::Missing(String::from("BIG_KEY")));
}

#[test]
fn the_error_of_a_provider_without_a_key_names_the_missing_variable() {
    let mut settings = settings(WITHOUT_KEYS);
    settings.openai_api_key = Some(Secret::new("  "));
    let registry = ProviderRegistry::new(settings).expect("the registry is created");
    for (model, variable) in [
        ("gpt-5", "OPENAI_API_KEY"),
        ("gemini-2.5-flash", "GEMINI_API_KEY"),
        ("big/x", "BIG_KEY"),
    ] {
        let error = registry
            .resolve(model)
            .err()
            .expect("the provider has no key");
        assert_eq!(error.code, "provider_not_configured");
        assert!(error.message.contains(variable), "{}", error.message);
    }
    assert!(registry.resolve("simulated").is_ok());
    assert!(registry.resolve("local/x").is_ok());
    assert!(registry.is_configured("local") && !registry.is_configured("big"));
}

#[test]
fn the_error_of_an_invalid_base_url_names_its_variable_even_without_a_key() {
    for (field, variable) in [(0, "OPENAI_BASE_URL"), (1, "GEMINI_BASE_URL")] {
        let mut settings = ProviderSettings::default();
        let url = if field == 0 {
            &mut settings.openai_base_url
        } else {
            &mut settings.gemini_base_url
        };
        *url = String::from("api.example.com");
        let error = ProviderRegistry::new(settings)
            .err()
            .expect("the input is refused")
            .to_string();
        assert!(error.starts_with(variable), "error: {error}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_for_a_provider_that_needs_it() {
    let mut settings = settings(WITH_KEYS);
    settings.http.proxies =
        Proxies::read(&|name| (name == "ALL_PROXY").then(|| String::from("socks5://a:1")));
    let error = ProviderRegistry::new(settings.clone())
        .err()
        .expect("the provider is refused");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert!(error.to_string().contains("openai"), "error: {error}");
    assert!(source.is_some_and(|source| source.starts_with("ALL_PROXY")));

    // Without keys only a provider on this machine is left, which needs no proxy.
    settings.openai_api_key = None;
    settings.gemini_api_key = None;
    settings.file = ProvidersFile::parse(FILE, &|_| None).expect("the file is valid");
    assert!(ProviderRegistry::new(settings).is_ok());
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_without_showing_it() {
    let settings = ProviderSettings {
        openai_api_key: Some(Secret::new("sk\nbroken")),
        ..ProviderSettings::default()
    };
    let error = ProviderRegistry::new(settings)
        .err()
        .expect("the input is refused")
        .to_string();
    assert!(
        error.contains("openai") && !error.contains("broken"),
        "error: {error}"
    );
}

/// The names of the accounts of a call.
fn account_names(registry: &ProviderRegistry, model: &str) -> Vec<String> {
    let accounts = registry.accounts_of(model);
    let keys = accounts.iter().flat_map(CallAccounts::keys);
    keys.map(|key| key.as_str().to_owned()).collect()
}

#[test]
fn the_accounts_of_a_call_are_those_of_its_provider_and_of_the_model_that_is_sent() {
    let registry = ProviderRegistry::new(settings(WITH_KEYS)).expect("the registry is created");
    for (model, expected) in [
        ("gpt-5", vec!["openai", "openai/gpt-5"]),
        ("openai/gpt-5", vec!["openai", "openai/gpt-5"]),
        ("meta/llama", vec!["openai", "openai/meta/llama"]),
        (
            "gemini-2.5-flash",
            vec!["gemini", "gemini/gemini-2.5-flash"],
        ),
        ("gemini/tuned", vec!["gemini", "gemini/tuned"]),
        ("llama-3-8b", vec!["big", "big/llama-3-8b"]),
        ("local/shared", vec!["big", "big/local/shared"]),
        ("router/auto", vec!["router", "router/router/auto"]),
        ("local/*", vec!["local"]),
        ("router/*", vec!["router"]),
        // No model is named.
        ("openai/", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(account_names(&registry, model), expected, "{model}");
    }
    let registry = ProviderRegistry::new(settings(WITHOUT_KEYS)).expect("the registry is created");
    // The key is missing.
    assert_eq!(registry.accounts_of("big/x"), None);
    let names = registry
        .account_names_of("big/x")
        .expect("a model is named");
    let names: Vec<_> = names.keys().map(AccountKey::as_str).collect();
    assert_eq!(names, ["big", "big/x"]);
    assert_eq!(account_names(&registry, "local/x"), ["local", "local/x"]);
}

#[test]
fn limits_belong_to_the_accounts_of_the_entry_that_states_them() {
    let file = r#"
        [providers.a]
        base_url = "http://127.0.0.1:1"
        rpm = 600
        [providers.a.limits."x/large"]
        rpm = 60
        [providers.b]
        base_url = "http://127.0.0.1:1"
        [providers.b.limits.small]
        concurrency = 2
        [providers.c]
        base_url = "http://127.0.0.1:1"
    "#;
    let settings = ProviderSettings {
        file: ProvidersFile::parse(file, &|_| None).expect("the file is valid"),
        ..ProviderSettings::default()
    };
    let registry = ProviderRegistry::new(settings).expect("the registry is created");
    let limits: Vec<_> = registry
        .limits()
        .iter()
        .map(|(account, limits)| {
            let rpm = limits.requests_per_minute;
            (account.as_str(), rpm, limits.concurrency)
        })
        .collect();
    let expected = [
        ("a", Some(600), None),
        ("a/x/large", Some(60), None),
        ("b/small", None, Some(2)),
    ];
    assert_eq!(limits, expected);
    // The account of a call has the limits.
    let accounts = registry.accounts_of("a/x/large").expect("a call is made");
    assert!(
        accounts
            .keys()
            .all(|key| registry.limits().contains_key(key))
    );
}
