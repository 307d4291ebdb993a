//! Models whose ids have slashes: which of them are sent under their whole names.

use scripted_provider::ScriptedLlm;
use serde_json::json;

use super::WithProvidersFile;

#[tokio::test]
async fn ids_with_slashes_reach_their_server_under_the_right_name() {
    let [openrouter, acme, openai] = [
        ScriptedLlm::start().await,
        ScriptedLlm::start().await,
        ScriptedLlm::start().await,
    ];
    let replacements = [
        ("https://openrouter.ai/api/v1", openrouter.openai_base_url()),
        ("https://llm.acme.example/v1", acme.openai_base_url()),
    ];
    let replacements = replacements
        .each_ref()
        .map(|(from, to)| (*from, to.as_str()));
    let env = [
        ("OPENROUTER_API_KEY", "k"),
        ("OPENAI_BASE_URL", &openai.openai_base_url()),
    ];
    let forebay = WithProvidersFile::start("recipe-slashes", &replacements, &env).await;
    for (model, provider) in [
        ("meta-llama/llama-3.3-70b-instruct:free", "openrouter"),
        ("openrouter/auto", "openrouter"),
        ("openrouter/mistralai/mistral-large", "openrouter"),
        ("acme/large", "acme"),
        ("mistralai/mistral-large", "openai"),
    ] {
        let job = forebay.run(&json!({ "input": "hi", "model": model })).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["provider"], provider, "{job}");
        assert_eq!(job["model"], model, "{job}");
    }
    let sent = |llm: &ScriptedLlm| {
        let model = |record: scripted_provider::Recorded| record.request.model.clone();
        llm.recorded().into_iter().map(model).collect::<Vec<_>>()
    };
    assert_eq!(
        sent(&openrouter),
        [
            "meta-llama/llama-3.3-70b-instruct:free",
            "openrouter/auto",
            "mistralai/mistral-large"
        ]
    );
    assert_eq!(sent(&acme), ["acme/large"]);
    assert_eq!(sent(&openai), ["mistralai/mistral-large"]);
}
