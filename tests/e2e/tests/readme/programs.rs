//! The two Python programs of the README, run unchanged: block `before` without Forebay, block `after` with Forebay.

use std::{fs, process::Stdio, time::Duration};

use e2e::{process::Forebay, python, readme};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A program of the README in a real server. Dropping the value ends the server.
struct Served {
    _server: Child,
    _folder: tempfile::TempDir,
    url: String,
}

/// Serves the program in the README's block `name` with this many processes.
async fn serve(name: &str, processes: usize, forebay_url: &str) -> Served {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let program = readme::block(&readme::read(), name);
    fs::write(folder.path().join("app.py"), program).expect("the program is written");
    // The README does not define `call_llm`. This version returns all messages of the session as one text.
    let llm = "async def call_llm(turns):\n    return ' | '.join(t['content'] for t in turns)\n";
    fs::write(folder.path().join("llm.py"), llm).expect("the module is written");
    let mut server = Command::new(python::program("python"))
        .args([
            "-m",
            "uvicorn",
            "app:app",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
        ])
        .args(["--workers", &processes.to_string()])
        .current_dir(folder.path())
        .env("FOREBAY_URL", forebay_url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let mut lines =
        BufReader::new(server.stderr.take().expect("the server has an output pipe")).lines();
    let url = timeout(START_TIMEOUT, async {
        let mut url = None;
        let mut ready = 0;
        while ready < processes || url.is_none() {
            let line = lines
                .next_line()
                .await
                .expect("the output is text")
                .expect("the server ended early");
            if let Some((_, text)) = line.split_once("running on ") {
                url = text.split_whitespace().next().map(str::to_owned);
            }
            ready += usize::from(line.contains("Application startup complete"));
        }
        url.expect("the server prints its URL")
    })
    .await
    .expect("the server starts in time");
    // The output is read to its end. Otherwise the pipe would fill up and block the server.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Served {
        _server: server,
        _folder: folder,
        url,
    }
}

/// Sends a message in a session and returns the reply. Each message uses a new connection, so any of the server's
/// processes may answer.
async fn chat(url: &str, session: &str, message: &str) -> String {
    let client = reqwest::Client::new();
    let url = format!("{url}/chat/{session}");
    let response = client
        .post(url)
        .query(&[("message", message)])
        .send()
        .await
        .expect("the server answers");
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.expect("the answer is JSON");
    body["reply"]
        .as_str()
        .expect("the answer has a reply")
        .to_owned()
}

#[tokio::test]
async fn the_program_without_forebay_keeps_the_session_in_its_process() {
    let served = serve("before", 1, "").await;
    assert_eq!(chat(&served.url, "ada", "one").await, "one");
    assert_eq!(chat(&served.url, "ada", "two").await, "one | one | two");
}

#[tokio::test]
async fn the_program_with_forebay_keeps_no_session_so_several_processes_can_serve_it() {
    let program = readme::block(&readme::read(), "after");
    let lines = program
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    assert!(
        lines <= 20,
        "the program must stay short: at most 20 lines, but it has {lines}"
    );

    let forebay = Forebay::builder()
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1")
        .start()
        .await;
    let served = serve("after", 2, forebay.url()).await;
    chat(&served.url, "ada", "message 0").await;
    for number in 1..8 {
        // The simulated provider's reply contains the number of the user's turns and the texts of the
        // last two.
        let reply = chat(&served.url, "ada", &format!("message {number}")).await;
        let expected = format!(
            "Simulated reply {}: you said \"message {number}\", and before that \"message {}\".",
            number + 1,
            number - 1
        );
        assert_eq!(reply, expected);
    }
}
