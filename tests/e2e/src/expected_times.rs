//! Checks the expected times until the ends of jobs (`eta_s`) under a load near the capacity: most of them are right, and a client
//! that polls after each `Retry-After` needs few polls. Used with one process and with a fleet.
//!
//! The load: jobs come at random times (Poisson) at 92 % of what 24 slots can run. A call takes a log-normal time with a median of
//! 3 s and a sigma of 0.35, which is 3.2 s on average. At the start, some jobs come at once, so that the later jobs wait for longer
//! than they run.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use scripted_provider::{ScriptedLlm, ScriptedReply};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Client, id_of, is_terminal},
    slowdown,
};

/// The number of slots that the caller must give to all workers together.
pub const SLOTS: usize = 24;
const JOBS_PER_S: f64 = 6.9;
/// The number of jobs that come at once. This backlog shrinks by 0.6 jobs a second, because the slots end 7.5 jobs a second.
const BACKLOG: usize = 120;
const CALL_MEDIAN_MS: f64 = 3_000.0;
const CALL_SIGMA: f64 = 0.35;
const CALL_MEAN_S: f64 = 3.2;
/// The jobs of this time are not counted, because the gateway first has to measure how fast jobs end.
const WARM_UP: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(30);
/// The smallest fraction of the expected times that must be right.
const RIGHT_FRACTION_MIN: f64 = 0.8;
/// An expected time is right if its error is at most this fraction of the true time, or at most [`ERROR_MAX`] multiplied by the
/// slowdown of the machine.
const RELATIVE_ERROR_MAX: f64 = 0.3;
const ERROR_MAX: Duration = Duration::from_secs(2);
/// The mean time until the end of a job must be more than this many times [`CALL_MEAN_S`], which proves that jobs wait. A measured
/// value is three.
const MEAN_FACTOR_MIN: f64 = 1.5;
const POLLS_MEDIAN_MAX: usize = 3;
/// On a machine with a higher slowdown, the number of polls is not judged.
const SLOWDOWN_MAX: f64 = 1.5;

/// What one client saw.
struct Seen {
    /// The expected times until the end, in seconds, each with the time of its answer.
    expected: Vec<(SystemTime, f64)>,
    polls: usize,
    ended_at: SystemTime,
}

/// A standard normal number (Box and Muller).
fn normal(random: &mut StdRng) -> f64 {
    let (first, second): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
}

fn call_time(random: &mut StdRng) -> Duration {
    let ms = CALL_MEDIAN_MS * (CALL_SIGMA * normal(random)).exp();
    Duration::from_secs_f64(ms / 1_000.0)
}

fn eta_of(job: &Value) -> Option<(SystemTime, f64)> {
    let eta_s = job["queue"]["eta_s"].as_f64()?;
    Some((SystemTime::now(), eta_s))
}

/// Submits a job and polls it after each `Retry-After` until it has ended.
async fn submit_and_poll(client: Client) -> Seen {
    let mut answer = client.submit(&json!({ "input": "hello" })).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let (mut expected, mut polls) = (Vec::new(), 0);
    let id = id_of(&answer.body).to_owned();
    while !is_terminal(&answer.body) {
        expected.extend(eta_of(&answer.body));
        let seconds = answer
            .header("retry-after")
            .expect("an unfinished job has Retry-After");
        let seconds: u64 = seconds.parse().expect("Retry-After is in seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        answer = client.job(&id).await;
        polls += 1;
    }
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    let ended_at = answer.body["ended_at"].as_str().expect("the job has ended");
    let ended_at: Timestamp = ended_at.parse().expect("`ended_at` is a time");
    let since_epoch = Duration::from_millis(ended_at.as_millisecond().unsigned_abs());
    Seen {
        expected,
        polls,
        ended_at: SystemTime::UNIX_EPOCH + since_epoch,
    }
}

/// The load, with its random numbers.
pub struct Load {
    random: StdRng,
}

impl Load {
    /// A load with a new seed, which is printed. Sets how long the calls of this provider take.
    #[must_use]
    pub fn on(llm: &ScriptedLlm) -> Self {
        let seed: u64 = rand::random();
        println!("the seed is {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut calls = StdRng::seed_from_u64(random.random());
        llm.add_rule(move |_| Some(ScriptedReply::text("ok").after(call_time(&mut calls))));
        Self { random }
    }

    /// Submits the jobs with this client, and judges their expected times and the number of polls.
    ///
    /// # Panics
    /// If a job does not complete, too many expected times are wrong, the jobs do not wait, or clients need too many polls.
    pub async fn assert_mostly_right(mut self, client: &Client) {
        let began = slowdown::measure();
        let (mut warm_up, mut measured) = (JoinSet::new(), JoinSet::new());
        for _ in 0..BACKLOG {
            warm_up.spawn(submit_and_poll(client.clone()));
        }
        let mut next = Instant::now();
        while began.elapsed() < WARM_UP + MEASURED {
            let pause_s = -(1.0 - self.random.random::<f64>()).ln() / JOBS_PER_S;
            next += Duration::from_secs_f64(pause_s);
            tokio::time::sleep_until(next.into()).await;
            let jobs = if began.elapsed() < WARM_UP {
                &mut warm_up
            } else {
                &mut measured
            };
            jobs.spawn(submit_and_poll(client.clone()));
        }
        warm_up.join_all().await;
        let seen = measured.join_all().await;
        judge(&seen, slowdown::between(began, Instant::now()));
    }
}

/// Asserts that most expected times are right, that the jobs had to wait, and that most clients needed few polls.
fn judge(seen: &[Seen], slowdown: f64) {
    let allowed_s = ERROR_MAX.mul_f64(slowdown).as_secs_f64();
    let expected = seen.iter().flat_map(|seen| {
        let times = seen.expected.iter();
        times.map(|(at, eta_s)| {
            let left = seen.ended_at.duration_since(*at).unwrap_or_default();
            (left.as_secs_f64(), *eta_s)
        })
    });
    let expected: Vec<(f64, f64)> = expected.collect();
    let is_right = |(left_s, eta_s): &&(f64, f64)| {
        (eta_s - left_s).abs() <= allowed_s.max(RELATIVE_ERROR_MAX * left_s)
    };
    let right = expected.iter().filter(is_right).count();
    let mut polls: Vec<usize> = seen.iter().map(|seen| seen.polls).collect();
    polls.sort_unstable();
    let median = polls[polls.len() / 2];
    let mean_s = expected.iter().map(|(left_s, _)| left_s).sum::<f64>() / expected.len() as f64;
    println!(
        "{} jobs; {right} of {} expected times are right, of {mean_s:.1} s on average; polls: median {median}, most {:?}",
        seen.len(),
        expected.len(),
        polls.last()
    );
    assert!(
        right as f64 >= RIGHT_FRACTION_MIN * expected.len() as f64,
        "only {right} of {} expected times are right: {expected:.1?}",
        expected.len()
    );
    assert!(
        mean_s > MEAN_FACTOR_MIN * CALL_MEAN_S,
        "the jobs did not wait: they ended after {mean_s:.1} s on average"
    );
    if slowdown > SLOWDOWN_MAX {
        println!("the polls are not judged, because the slowdown is {slowdown:.1}");
        return;
    }
    assert!(
        median <= POLLS_MEDIAN_MAX,
        "the median of the polls is {median}"
    );
}
