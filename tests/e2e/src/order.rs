//! The check of Forebay's second promise: a session's turns never race.
//!
//! A load test submits the inputs `turn=0`, `turn=1`, … to each session in order
//! ([`crate::client::Client::submit_turns`]). The provider gives the scripted server's default replies. Then each
//! reply must show exactly the turns up to its own, and the session must contain each turn once.
//!
//! Only [`SessionRun::fetch`] does I/O. Sessions must be shorter than the bound on kept turns.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::client::{Client, is_terminal};
use scripted_provider::seen;

/// How many problems a failure lists.
const LISTED_MAX: usize = 25;

/// A session and its jobs after a load test.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRun {
    /// The id of the session.
    pub session: String,
    /// The jobs that the API returned at the end, in the order of their submission.
    pub jobs: Vec<Value>,
    /// The session that the API returned at the end.
    pub stored: Value,
}

impl SessionRun {
    /// Waits until all jobs have ended, then reads the session.
    ///
    /// # Panics
    /// If a job has not ended after `limit`, or the session cannot be read.
    pub async fn fetch(client: &Client, session: &str, ids: &[String], limit: Duration) -> Self {
        // When the last job has ended, the others have too. A wait for each would cost the gateway a
        // subscription.
        if let Some(last) = ids.last() {
            client.wait(last, limit).await;
        }
        let mut jobs = Vec::new();
        for id in ids {
            let job = client.try_get(&format!("/v1/jobs/{id}")).await;
            jobs.push(match job {
                Ok(answer) if answer.status == 200 && is_terminal(&answer.body) => answer.body,
                _ => client.wait(id, limit).await,
            });
        }
        Self {
            session: session.to_owned(),
            jobs,
            stored: client.session(session).await.expect(200),
        }
    }

    /// The workers that attempted its jobs.
    #[must_use]
    pub fn workers(&self) -> BTreeSet<&str> {
        let attempts = self.jobs.iter().flat_map(|job| list(&job["attempts"]));
        attempts.filter_map(|a| a["worker"].as_str()).collect()
    }
}

/// Checks that every session is in order.
///
/// # Panics
/// If one is not, with the first 25 problems.
pub fn assert_in_order(runs: &[SessionRun]) {
    let problems: Vec<String> = runs.iter().flat_map(problems).collect();
    if !problems.is_empty() {
        let listed = &problems[..problems.len().min(LISTED_MAX)];
        panic!("{} problems:\n{}", problems.len(), listed.join("\n"));
    }
}

/// All problems of a session; empty if it is in order.
#[must_use]
pub fn problems(run: &SessionRun) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for (n, job) in (0..).zip(&run.jobs) {
        let id = job["id"].as_str().unwrap_or("?");
        if !ids.insert(id) {
            problems.push(format!(
                "turn {n}: its job {id} is also the job of an earlier turn"
            ));
        }
        if let Err(problem) = check_job(n, job) {
            problems.push(format!("turn {n}, job {id}: {problem}"));
        }
    }
    check_stored(run, &mut problems);
    let session = &run.session;
    let named = problems.iter().map(|p| format!("session {session}: {p}"));
    named.collect()
}

fn check_job(n: u64, job: &Value) -> Result<(), String> {
    if job["status"] != "completed" {
        return Err(format!("{} with error {}", job["status"], job["error"]));
    }
    let text = job["output"]["text"].as_str().unwrap_or_default();
    check_reply(n, text)
}

fn check_reply(n: u64, text: &str) -> Result<(), String> {
    let Some(seen) = seen::parse_reply(text) else {
        return Err(format!("its reply shows no turns: {text:?}"));
    };
    if seen.iter().copied().eq(0..=n) {
        return Ok(());
    }
    let missing: Vec<u64> = (0..=n).filter(|turn| !seen.contains(turn)).collect();
    Err(format!(
        "its reply was made from turns {seen:?}, not from 0 to {n} in order (missing: {missing:?})"
    ))
}

fn check_stored(run: &SessionRun, problems: &mut Vec<String>) {
    let turns = list(&run.stored["turns"]);
    let expected = run.jobs.len() * 2;
    let count = run.stored["turn_count"].as_u64();
    if count != u64::try_from(expected).ok() {
        problems.push(format!("turn_count is {count:?}, not {expected}"));
    }
    if turns.len() != expected {
        problems.push(format!("it contains {} turns, not {expected}", turns.len()));
    }
    for (i, turn) in turns.iter().enumerate() {
        let n = i / 2;
        let (role, text) = (turn["role"].as_str().unwrap_or("?"), text_of(turn));
        let expected_role = if i % 2 == 0 { "user" } else { "assistant" };
        let problem = if role != expected_role {
            format!("its role is {role}, not {expected_role}")
        } else if role == "user" {
            let numbers = seen::turn_numbers([text.as_str()]);
            if numbers == [n as u64] {
                continue;
            }
            format!("it contains the turns {numbers:?}, not {n}")
        } else {
            let replied = run.jobs.get(n).map(|job| &job["output"]["text"]);
            if replied.and_then(Value::as_str) == Some(text.as_str()) {
                continue;
            }
            format!("it is {text:?}, but the job's reply was {replied:?}")
        };
        problems.push(format!("stored turn #{i}: {problem}"));
        // All later turns are shifted and would repeat this problem.
        return;
    }
}

fn text_of(turn: &Value) -> String {
    match &turn["content"] {
        Value::String(text) => text.clone(),
        parts => list(parts)
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::turn_text;

    fn good(turns: u64) -> SessionRun {
        let mut jobs = Vec::new();
        let mut stored = Vec::new();
        for n in 0..turns {
            let reply = seen::reply(&(0..=n).collect::<Vec<u64>>());
            jobs.push(json!({
                "id": format!("job-{n}"),
                "status": "completed",
                "output": { "text": reply },
                "attempts": [{ "worker": format!("w{}", n % 2) }],
            }));
            stored.push(json!({ "role": "user", "content": turn_text("s", n) }));
            stored.push(json!({ "role": "assistant", "content": reply }));
        }
        let stored = json!({ "turn_count": stored.len(), "turns": stored });
        let session = "s".to_owned();
        SessionRun {
            session,
            jobs,
            stored,
        }
    }

    fn only_problem(run: &SessionRun) -> String {
        let problems = problems(run);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn a_session_in_order_has_no_problem() {
        assert_in_order(&[good(1), good(4)]);
        assert_eq!(good(3).workers(), BTreeSet::from(["w0", "w1"]));
    }

    #[test]
    fn a_job_that_did_not_complete_is_named() {
        let mut run = good(2);
        run.jobs[1]["status"] = json!("failed");
        let problem = only_problem(&run);
        assert!(problem.starts_with("session s: turn 1, job job-1: \"failed\""));
    }

    #[test]
    fn a_reply_without_an_earlier_turn_is_named() {
        for wrong in [
            "seen:0,2",
            "seen:1,0,2",
            "seen:0,1,1,2",
            "seen:0,1,2,3",
            "hello",
        ] {
            let mut run = good(3);
            run.jobs[2]["output"]["text"] = json!(wrong);
            run.stored["turns"][5]["content"] = json!(wrong);
            let problem = only_problem(&run);
            assert!(
                problem.contains("turn 2, job job-2: its reply"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_stored_turn_that_is_doubled_missing_or_misplaced_is_named() {
        let turns = |run: &mut SessionRun, change: fn(&mut Vec<Value>)| {
            if let Value::Array(turns) = &mut run.stored["turns"] {
                change(turns);
            }
        };
        let changes: [fn(&mut Vec<Value>); 3] = [
            |turns| turns.insert(2, turns[0].clone()),
            |turns| drop(turns.remove(3)),
            |turns| turns.swap(0, 2),
        ];
        for change in changes {
            let mut run = good(3);
            turns(&mut run, change);
            assert!(problems(&run).iter().any(|p| p.contains("stored turn #")));
        }
        let mut run = good(3);
        turns(&mut run, |turns| drop(turns.pop()));
        assert!(only_problem(&run).contains("it contains 5 turns, not 6"));
    }

    #[test]
    fn a_stored_reply_that_is_not_the_jobs_is_named() {
        let mut run = good(2);
        run.stored["turns"][3]["content"] = json!("seen:0");
        assert!(only_problem(&run).contains("stored turn #3: it is \"seen:0\""));
    }

    #[test]
    fn two_turns_with_one_job_are_named() {
        let mut run = good(2);
        run.jobs[1]["id"] = json!("job-0");
        assert!(only_problem(&run).contains("also the job of an earlier turn"));
    }

    #[test]
    #[should_panic(expected = "session s: turn_count is Some(5), not 6")]
    fn the_assertion_panics_with_the_problem() {
        let mut run = good(3);
        run.stored["turn_count"] = json!(5);
        assert_in_order(&[good(1), run]);
    }
}
