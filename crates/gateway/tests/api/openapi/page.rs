//! The page that shows the document loads only files of this gateway, and runs no inline script.

use regex::Regex;
use reqwest::Method;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_page_loads_only_scripts_of_the_gateway() {
    let gateway = Fixture::start().await;
    let request = gateway.request(Method::GET, "/docs");
    let page = request.send().await.expect("the gateway responds");
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().expect("a text").to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    let policy = header("content-security-policy");
    let directives: Vec<&str> = policy.split("; ").collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(directives.contains(&directive), "{policy}");
    }
    let html = page.text().await.expect("the page is text");
    assert!(!html.contains("://"), "the page names another host: {html}");
    // Each script has an address and no content.
    let scripts = html.matches("<script").count();
    assert_eq!(html.matches("\"></script>").count(), scripts);
    let addresses = Regex::new("(?:src|href)=\"([^\"]+)\"").expect("a pattern");
    let mut files = 0;
    for address in addresses.captures_iter(&html) {
        let path = format!("/{}", &address[1]);
        let response = gateway.request(Method::GET, &path).send().await;
        let response = response.expect("the gateway responds");
        assert_eq!(response.status(), 200, "{path}");
        let header = |name| {
            response
                .headers()
                .get(name)
                .map(|value| value.as_bytes().to_vec())
        };
        assert_eq!(
            header("x-content-type-options").as_deref(),
            Some(b"nosniff".as_slice())
        );
        let is_compressed = header("content-encoding").as_deref() == Some(b"gzip");
        let bytes = response.bytes().await.expect("the file is sent to its end");
        assert_eq!(bytes.starts_with(b"\x1f\x8b"), is_compressed, "{path}");
        files += 1;
    }
    assert_eq!((files, scripts), (3, 2));
    gateway
        .get("/docs/no-such-file")
        .await
        .expect_problem(404, "not_found");
}
