//! Checks the README's statement that a session's turns never race.
//!
//! A load test submits the inputs `turn=0`, `turn=1`, … to each session in order
//! ([`crate::client::Client::submit_turns`]). The provider is the scripted server with its default replies, which list
//! the turns in the context. The reply to a turn must list exactly the turns up to this turn, in order. The session
//! must contain each turn once.
//!
//! Only [`SessionRun::fetch`] does I/O. A session must have fewer turns than Forebay keeps.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::client::{Client, is_terminal};
use scripted_provider::seen;

/// How many problems the message of a failed check lists.
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
    /// If a job has not ended after `timeout`, or the session cannot be read.
    pub async fn fetch(client: &Client, session: &str, ids: &[String], timeout: Duration) -> Self {
        // When the last job has ended, the other jobs have ended too. Waiting for each of them would cost the gateway one
        // subscription per job.
        if let Some(last) = ids.last() {
            client.wait(last, timeout).await;
        }
        let mut jobs = Vec::new();
        for id in ids {
            let job = client.try_get(&format!("/v1/jobs/{id}")).await;
            jobs.push(match job {
                Ok(answer) if answer.status == 200 && is_terminal(&answer.body) => answer.body,
                _ => client.wait(id, timeout).await,
            });
        }
        Self {
            session: session.to_owned(),
            jobs,
            stored: client
                .get_until_ok(&format!("/v1/sessions/{session}"), timeout)
                .await,
        }
    }

    /// The workers that made attempts at the session's jobs.
    #[must_use]
    pub fn workers(&self) -> BTreeSet<&str> {
        let attempts = self.jobs.iter().flat_map(|job| list(&job["attempts"]));
        attempts
            .filter_map(|attempt| attempt["worker"].as_str())
            .collect()
    }
}

/// Asserts that every session is in order.
///
/// # Panics
/// If a session is not in order. The message lists the first 25 problems.
pub fn assert_in_order(runs: &[SessionRun]) {
    let problems: Vec<String> = runs.iter().flat_map(problems).collect();
    if !problems.is_empty() {
        let listed = &problems[..problems.len().min(LISTED_MAX)];
        panic!(
            "the sessions have {} problems:\n{}",
            problems.len(),
            listed.join("\n")
        );
    }
}

/// All problems of a session; empty if the session is in order.
#[must_use]
pub fn problems(run: &SessionRun) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for (turn, job) in (0..).zip(&run.jobs) {
        let id = job["id"].as_str().unwrap_or("?");
        if !ids.insert(id) {
            problems.push(format!(
                "turn {turn}: its job {id} is also the job of an earlier turn"
            ));
        }
        if let Err(problem) = check_job(turn, job) {
            problems.push(format!("turn {turn}, job {id}: {problem}"));
        }
    }
    check_stored(run, &mut problems);
    let session = &run.session;
    let problems = problems
        .iter()
        .map(|problem| format!("session {session}: {problem}"));
    problems.collect()
}

fn check_job(turn: u64, job: &Value) -> Result<(), String> {
    if job["status"] != "completed" {
        return Err(format!(
            "its status is {}, with the error {}",
            job["status"], job["error"]
        ));
    }
    let text = job["output"]["text"].as_str().unwrap_or_default();
    check_reply(turn, text)
}

fn check_reply(turn: u64, text: &str) -> Result<(), String> {
    let Some(seen) = seen::parse_reply(text) else {
        return Err(format!("its reply does not list turns: {text:?}"));
    };
    if seen.iter().copied().eq(0..=turn) {
        return Ok(());
    }
    let missing: Vec<u64> = (0..=turn).filter(|turn| !seen.contains(turn)).collect();
    Err(format!(
        "its reply lists the turns {seen:?}, not 0 to {turn} in order (missing: {missing:?})"
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
        problems.push(format!(
            "the session contains {} turns, not {expected}",
            turns.len()
        ));
    }
    for (index, turn) in turns.iter().enumerate() {
        let number = index / 2;
        let (role, text) = (turn["role"].as_str().unwrap_or("?"), text_of(turn));
        let expected_role = if index % 2 == 0 { "user" } else { "assistant" };
        let problem = if role != expected_role {
            format!("its role is {role}, not {expected_role}")
        } else if role == "user" {
            let numbers = seen::turn_numbers([text.as_str()]);
            if numbers == [number as u64] {
                continue;
            }
            format!("its text contains the turns {numbers:?}, not {number}")
        } else {
            let reply = run.jobs.get(number).map(|job| &job["output"]["text"]);
            if reply.and_then(Value::as_str) == Some(text.as_str()) {
                continue;
            }
            format!("its text is {text:?}, but the job's reply was {reply:?}")
        };
        problems.push(format!("stored turn #{index}: {problem}"));
        // The later turns may be shifted too. Their problems would only repeat this problem.
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

    /// A session in order with this many turns.
    fn run_in_order(turns: u64) -> SessionRun {
        let mut jobs = Vec::new();
        let mut stored = Vec::new();
        for turn in 0..turns {
            let reply = seen::reply(&(0..=turn).collect::<Vec<u64>>());
            jobs.push(json!({
                "id": format!("job-{turn}"),
                "status": "completed",
                "output": { "text": reply },
                "attempts": [{ "worker": format!("w{}", turn % 2) }],
            }));
            stored.push(json!({ "role": "user", "content": turn_text("s", turn) }));
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

    /// The problem of a session that has exactly one problem.
    fn only_problem(run: &SessionRun) -> String {
        let problems = problems(run);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn a_session_in_order_has_no_problem() {
        assert_in_order(&[run_in_order(1), run_in_order(4)]);
        assert_eq!(run_in_order(3).workers(), BTreeSet::from(["w0", "w1"]));
    }

    #[test]
    fn a_job_that_did_not_complete_is_a_problem() {
        let mut run = run_in_order(2);
        run.jobs[1]["status"] = json!("failed");
        let problem = only_problem(&run);
        assert!(problem.starts_with("session s: turn 1, job job-1: its status is \"failed\""));
    }

    #[test]
    fn a_reply_that_does_not_list_exactly_the_turns_up_to_its_own_is_a_problem() {
        for wrong_reply in [
            "seen:0,2",
            "seen:1,0,2",
            "seen:0,1,1,2",
            "seen:0,1,2,3",
            "hello",
        ] {
            let mut run = run_in_order(3);
            run.jobs[2]["output"]["text"] = json!(wrong_reply);
            run.stored["turns"][5]["content"] = json!(wrong_reply);
            let problem = only_problem(&run);
            assert!(
                problem.contains("turn 2, job job-2: its reply"),
                "another problem was found: {problem}"
            );
        }
    }

    #[test]
    fn a_repeated_missing_or_misplaced_stored_turn_is_a_problem() {
        let change_turns = |run: &mut SessionRun, change: fn(&mut Vec<Value>)| {
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
            let mut run = run_in_order(3);
            change_turns(&mut run, change);
            assert!(
                problems(&run)
                    .iter()
                    .any(|problem| problem.contains("stored turn #"))
            );
        }
        let mut run = run_in_order(3);
        change_turns(&mut run, |turns| drop(turns.pop()));
        assert!(only_problem(&run).contains("the session contains 5 turns, not 6"));
    }

    #[test]
    fn a_stored_reply_that_differs_from_the_jobs_reply_is_a_problem() {
        let mut run = run_in_order(2);
        run.stored["turns"][3]["content"] = json!("seen:0");
        assert!(only_problem(&run).contains("stored turn #3: its text is \"seen:0\""));
    }

    #[test]
    fn two_turns_with_the_same_job_are_a_problem() {
        let mut run = run_in_order(2);
        run.jobs[1]["id"] = json!("job-0");
        assert!(only_problem(&run).contains("also the job of an earlier turn"));
    }

    #[test]
    #[should_panic(expected = "session s: turn_count is Some(5), not 6")]
    fn the_assertion_panics_and_names_the_problem() {
        let mut run = run_in_order(3);
        run.stored["turn_count"] = json!(5);
        assert_in_order(&[run_in_order(1), run]);
    }
}
