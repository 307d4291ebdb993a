//! What a providers file may contain, and the errors for an invalid file.

use super::ProvidersFile;

fn error(text: &str) -> String {
    ProvidersFile::parse(text, &|_| None)
        .expect_err("the input is refused")
        .to_string()
}

#[test]
fn every_field_of_an_entry_is_read() {
    let text = r#"
        [providers.acme]
        kind = "openai"
        base_url = "https://llm.acme.example/v1"
        key_env = "ACME_API_KEY"
        models = ["acme-*", "x"]
        max_tokens_field = "max_completion_tokens"
        headers = { "x-team" = "search" }

        [providers.goo]
        kind = "gemini"
        base_url = "https://goo.example/v1beta"

        [providers.cluster]
        base_url = "http://10.0.0.7:8000/v1"
        http2_prior_knowledge = true
    "#;
    let variable = |name: &str| (name == "ACME_API_KEY").then(|| String::from("sk-secret"));
    let file = ProvidersFile::parse(text, &variable).expect("the file is valid");
    assert_eq!(file.entries.len(), 3);
    assert!(file.entries["cluster"].definition.http2_prior_knowledge);
    assert!(!file.entries["acme"].definition.http2_prior_knowledge);
    assert_eq!(file.entries["acme"].definition.missing_key(), None);
    assert!(!format!("{file:?}").contains("sk-secret"));
    let file_without_key = ProvidersFile::parse(text, &|_| None).expect("the file is valid");
    assert_eq!(
        file_without_key.entries["acme"].definition.missing_key(),
        Some("ACME_API_KEY")
    );
}

#[test]
fn an_empty_file_has_no_entries() {
    let file = ProvidersFile::parse("", &|_| None).expect("the file is valid");
    assert!(file.entries.is_empty());
}

#[test]
fn errors_name_the_line_or_the_entry_and_its_invalid_part() {
    let url = "base_url = \"https://x.example\"";
    for (text, parts) in [
        ("x = [", vec!["line 1"]),
        ("\n[providers.a]\nurl = \"x\"", vec!["line 3", "url"]),
        (
            "[providers.a]\nkind = \"other\"\nbase_url = \"x\"",
            vec!["line 2", "other"],
        ),
        ("[providers.a]\nmodels = []", vec!["base_url"]),
        (
            "[providers.a]\nbase_url = \"x.example\"",
            vec!["providers.a", "base_url must be a URL"],
        ),
        (
            &format!("[providers.openai]\n{url}"),
            vec!["providers.openai", "another"],
        ),
        (&format!("[providers.A]\n{url}"), vec!["providers.A", "a-z"]),
        (
            &format!("[providers.a]\n{url}\nmodels = [\"a*b\"]"),
            vec!["providers.a", "a*b"],
        ),
        (
            &format!("[providers.a]\n{url}\nkey_env = \"\""),
            vec!["providers.a", "key_env"],
        ),
        (
            &format!("[providers.a]\n{url}\nheaders = {{\"a b\" = \"c\"}}"),
            vec!["providers.a", "a b"],
        ),
        (
            &format!("[providers.a]\n{url}\nheaders = {{Host = \"c\"}}"),
            vec!["providers.a", "host"],
        ),
        (
            &format!("[providers.a]\n{url}\nheaders = {{Accept-Encoding = \"gzip\"}}"),
            vec!["providers.a", "accept-encoding"],
        ),
        (
            &format!("[providers.a]\n{url}\nheaders = {{x = \"a\\nb\"}}"),
            vec!["providers.a", "x"],
        ),
        (
            &format!("[providers.a]\n{url}\nkind = \"gemini\"\nmax_tokens_field = \"max_tokens\""),
            vec!["providers.a", "max_tokens_field"],
        ),
        (
            &format!("[providers.a]\n{url}\nhttp2_prior_knowledge = true"),
            vec!["providers.a", "http2_prior_knowledge", "TLS"],
        ),
        (
            &format!(
                "[providers.a]\n{url}\nmodels = [\"m\"]\n[providers.b]\n{url}\nmodels = [\"m\"]"
            ),
            vec!["providers.b", "providers.a", "\"m\""],
        ),
    ] {
        let error = error(text);
        for part in parts {
            assert!(
                error.contains(part),
                "the error of {text} lacks {part}: {error}"
            );
        }
    }
}

#[test]
fn an_error_does_not_repeat_a_line_that_may_hold_a_key() {
    let error = error("[providers.a]\nheaders = { authorization = \"Bearer sk-secret\" \"");
    assert!(!error.contains("sk-secret"), "error: {error}");
}
