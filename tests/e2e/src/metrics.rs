//! Scrapes the admin listener of a process and reads Prometheus's text format.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::process::Forebay;

/// What a process logs before the URL of its admin listener.
const LOGGED: &str = "metrics and health on ";
/// How long a request or promtool may take. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The admin listener of a process.
#[derive(Clone, Debug)]
pub struct Admin {
    url: String,
    http: reqwest::Client,
}

/// The metrics of one scrape in text format 0.0.4.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The text.
    pub text: String,
}

impl Admin {
    /// The setting that gives a process an admin listener on a free port.
    pub const SETTING: (&'static str, &'static str) = ("FOREBAY_ADMIN_LISTEN", "127.0.0.1:0");

    /// Finds the admin listener of a process in its log.
    ///
    /// # Panics
    /// If the process has none.
    pub async fn of(process: &Forebay) -> Self {
        process.wait_for_log(LOGGED, TIMEOUT).await;
        let logs = process.logs();
        let url = logs.lines().find_map(|line| line.split_once(LOGGED));
        let (_, url) = url.expect("the log names the URL");
        let url = url
            .split_whitespace()
            .next()
            .expect("the log names the URL");
        Self {
            url: url.to_owned(),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(TIMEOUT)
                .build()
                .expect("the client is built"),
        }
    }

    /// The status and the body of a path.
    ///
    /// # Errors
    /// If the process does not answer.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<(u16, String)> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Scrapes the metrics.
    ///
    /// # Panics
    /// If the process does not answer with 200.
    pub async fn scrape(&self) -> Scrape {
        let (status, text) = self.try_get("/metrics").await.expect("the process answers");
        assert_eq!(status, 200, "{text}");
        Scrape { text }
    }
}

impl Scrape {
    /// The value of a series. `series` is its name with all its labels, exactly as the text shows them.
    #[must_use]
    pub fn value(&self, series: &str) -> Option<f64> {
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.text.lines().find_map(value)
    }

    /// The sum of those series of a metric whose lines contain `labels`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &str) -> f64 {
        let series = self.text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        });
        let values = series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    }

    /// The number of series, each bucket of a histogram included.
    #[must_use]
    pub fn series_count(&self) -> usize {
        let series = self.text.lines().filter(|line| !line.starts_with('#'));
        series.count()
    }

    /// Whether the text has a line that declares this type for the metric.
    #[must_use]
    pub fn has_type(&self, name: &str, kind: &str) -> bool {
        let line = format!("# TYPE {name} {kind}");
        self.text.lines().any(|other| other == line)
    }

    /// Asserts that `deploy/METRICS.md` names each metric.
    ///
    /// # Panics
    /// If the page lacks a metric.
    pub fn assert_documented(&self) {
        let path = crate::readme::path().with_file_name("deploy");
        let page = std::fs::read_to_string(path.join("METRICS.md"))
            .expect("deploy/METRICS.md can be read");
        let types = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        let names = types.filter_map(|line| line.split(' ').next());
        let missing: Vec<&str> = names
            .filter(|name| !page.contains(&format!("`{name}`")))
            .collect();
        assert!(
            missing.is_empty(),
            "deploy/METRICS.md does not list {missing:?}"
        );
    }

    /// Checks the text with `promtool check metrics`: its form, and the conventions of names.
    ///
    /// # Panics
    /// If promtool reports a fault, or is not installed.
    pub async fn check_with_promtool(&self) {
        let program = std::env::var("FOREBAY_TEST_PROMTOOL");
        let program = program.unwrap_or_else(|_| String::from("promtool"));
        let mut promtool = Command::new(&program)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} cannot be started ({error}): run the tests with tests/run, which installs it, or set FOREBAY_TEST_PROMTOOL")
            });
        let mut input = promtool.stdin.take().expect("the input is a pipe");
        let text = self.text.clone().into_bytes();
        let writing = tokio::spawn(async move { input.write_all(&text).await });
        let checked = tokio::time::timeout(TIMEOUT, promtool.wait_with_output()).await;
        let checked = checked.expect("promtool ends").expect("promtool runs");
        writing
            .await
            .expect("the writing does not panic")
            .expect("promtool reads all");
        let faults = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.success() && faults.trim().is_empty(),
            "promtool: {faults}\n{}",
            self.text
        );
    }
}
