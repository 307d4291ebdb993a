//! Tests of `GET /v1/sessions`.

use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, job_in_session},
    session_writes::put,
};

#[tokio::test]
async fn sessions_are_listed_in_pages_while_others_come_and_go() {
    let gateway = Fixture::start().await;
    let list = async |query: &str| {
        let path = format!("/v1/sessions{query}");
        gateway.get(&path).await.expect(200)
    };
    let empty = list("").await;
    assert_eq!(
        empty,
        json!({"object": "list", "data": [], "next_cursor": null})
    );
    for number in 0..5 {
        let path = format!("/v1/sessions/s{number}");
        let body = json!({"attributes": {"n": number}, "defaults": {"model": "m"}});
        put(&gateway, &path, &body).await.expect(201);
    }
    gateway.submit_accepted(&job_in_session("live")).await;
    let ids = |page: &Value| {
        let data = page["data"].as_array().unwrap().iter();
        let ids = data.map(|session| session["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let page = list("?order=asc&limit=2").await;
    assert_eq!(page["data"][1]["attributes"], json!({"n": 1}));
    assert_eq!(page["data"][1]["default_model"], "m");
    let mut seen = ids(&page);
    let mut cursor = page["next_cursor"].as_str().map(str::to_owned);
    // A removed session is not shown, and a new session comes at the end.
    assert_eq!(gateway.delete("/v1/sessions/s2").await.status, 204);
    put(&gateway, "/v1/sessions/new", &json!({}))
        .await
        .expect(201);
    while let Some(position) = cursor {
        let page = list(&format!("?order=asc&limit=2&cursor={position}")).await;
        seen.extend(ids(&page));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    let mut newest_first = ids(&list("").await);
    newest_first.reverse();
    assert_eq!(seen, newest_first);
    // Sessions of the same millisecond are in the order of their ids.
    seen.sort();
    assert_eq!(seen, ["live", "new", "s0", "s1", "s3", "s4"]);
    let all = list("?limit=100").await;
    let live = all["data"].as_array().unwrap().iter();
    let live: Vec<_> = live.filter(|session| session["live_jobs"] == 1).collect();
    assert_eq!(
        (live[0]["id"].as_str(), &live[0]["expires_at"]),
        (Some("live"), &Value::Null)
    );
}
