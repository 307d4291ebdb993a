//! The limits of tenants over Redis: two gateways together accept as much as one would, and never are more jobs live than the limit
//! allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use e2e::{
    fleet::{Fleet, poll_until},
    flood::{assert_limited, flood, key_of, write_keys_file},
};
use scripted_provider::{Latency, ScriptedLlm};
use serde_json::json;
use servers::redis::{Redis, RedisReply};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::test_lock;

/// The timeout of floods and waits. Only failing tests reach it.
const LONG: Duration = Duration::from_secs(120);
/// The limits that are tested.
const LIMITS: [u64; 3] = [40, 200, 1_000];

/// A fleet with these limits of tenants. Without workers no job ends.
async fn start(limits: &[(&str, &str)]) -> (Fleet, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    write_keys_file(&keys, limits);
    let fleet = Fleet::builder()
        .workers(0)
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    (fleet, folder)
}

/// Counts the live jobs of all tenants in one atomic step, by their timers. The gateways count in another index, and in several steps.
const COUNT_LIVE: &str = "local sum = 0
    for partition = 0, 255 do
      sum = sum + redis.call('ZCARD', string.format('fb:{%02x}:t', partition))
    end
    return sum";

async fn live_in_store(redis: &Redis) -> u64 {
    let reply = redis.command(&["EVAL", COUNT_LIVE, "0"]).await;
    match reply.expect("the live jobs are counted") {
        RedisReply::Integer(count) => count.try_into().expect("the count is not negative"),
        other => panic!("not a count: {other}"),
    }
}

/// The highest count of live jobs in the store until the flag is set, and how often they were counted.
async fn most_in_store(redis: &Redis, is_over: &AtomicBool) -> (u64, u64) {
    let (mut most, mut counted) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        most = most.max(live_in_store(redis).await);
        counted += 1;
        sleep(SAMPLE_EVERY).await;
    }
    (most, counted)
}

fn urls(fleet: &Fleet) -> Vec<String> {
    let urls = fleet
        .gateways
        .iter()
        .map(|gateway| gateway.url().to_owned());
    urls.collect()
}

/// Floods one gateway, both, and one while the other has accepted a job before and is idle.
async fn assert_each_flood_is_limited(kind: &str, limit_text: impl Fn(u64) -> String) {
    let _guard = test_lock::shared().await;
    let ways = ["one", "both", "idle"];
    let tenants: Vec<(String, u64, &str, String)> = LIMITS
        .iter()
        .flat_map(|limit| ways.map(|way| (*limit, way)))
        .map(|(limit, way)| {
            (
                format!("{kind}-{way}-{limit}"),
                limit,
                way,
                limit_text(limit),
            )
        })
        .collect();
    let limits = tenants
        .iter()
        .map(|(tenant, _, _, text)| (tenant.as_str(), text.as_str()));
    let (fleet, _folder) = start(&limits.collect::<Vec<_>>()).await;
    let urls = urls(&fleet);
    let mut all = 0;
    for (tenant, limit, way, _) in &tenants {
        let mut accepted = 0;
        if *way == "idle" {
            let client = fleet.client_of(1).with_api_key(&key_of(tenant));
            client
                .submit(&json!({ "input": "hello" }))
                .await
                .expect(202);
            accepted += 1;
        }
        let flooded = if *way == "both" {
            &urls[..]
        } else {
            &urls[..1]
        };
        accepted += flood(flooded, tenant, LONG).await;
        assert_limited(accepted, *limit, tenant);
        all += accepted;
        assert_eq!(live_in_store(&fleet.redis).await, all, "{tenant}");
    }
}

#[tokio::test]
async fn two_gateways_together_accept_what_the_request_limit_allows() {
    assert_each_flood_is_limited("rate", |limit| format!("requests={limit}/600")).await;
}

#[tokio::test]
async fn two_gateways_together_accept_what_the_live_limit_allows() {
    assert_each_flood_is_limited("live", |limit| format!("live={limit}")).await;
}

/// Each window allows the same number of requests.
#[tokio::test]
async fn two_gateways_share_each_window() {
    let _guard = test_lock::shared().await;
    let (fleet, _folder) = start(&[("shop", "requests=200/4")]).await;
    let began = Instant::now();
    let accepted = flood(&urls(&fleet), "shop", Duration::from_secs(11)).await;
    let elapsed_s = began.elapsed().as_secs();
    println!("{accepted} in {elapsed_s} s");
    assert!(
        accepted <= 200 * (elapsed_s / 4 + 1),
        "{accepted} in {elapsed_s} s"
    );
    // A window may begin a little late.
    assert!(
        accepted >= 190 * (elapsed_s / 4),
        "{accepted} in {elapsed_s} s"
    );
}

/// How long each flood of [`jobs_that_end_make_way_for_others`] lasts.
const FLOOD: Duration = Duration::from_secs(8);
/// The limit on live jobs of each tenant in that test.
const LIVE: usize = 40;
/// How long each call takes in that test.
const CALL: Duration = Duration::from_millis(500);

/// The pause between two counts of the live jobs.
const SAMPLE_EVERY: Duration = Duration::from_millis(2);

/// Jobs end while their tenant is flooded, at one gateway and at two, and other jobs take their permits. At no time does the store have
/// more live jobs, or the provider more calls, than the limit allows.
#[tokio::test]
async fn jobs_that_end_make_way_for_others() {
    let _guard = test_lock::exclusive().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    let limit = format!("live={LIVE}");
    write_keys_file(&keys, &[("one", &limit), ("two", &limit)]);
    let llm = ScriptedLlm::start().await;
    llm.set_latency(Latency::Fixed(CALL));
    let fleet = Fleet::builder()
        .workers(1)
        .openai(&llm)
        .env("FOREBAY_CONCURRENCY", "200")
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    let fleet = Arc::new(fleet);
    let urls = urls(&fleet);
    for (tenant, flooded) in [("one", &urls[..1]), ("two", &urls[..])] {
        let began = Instant::now();
        let is_over = Arc::new(AtomicBool::new(false));
        let counting = tokio::spawn({
            let (fleet, is_over) = (Arc::clone(&fleet), Arc::clone(&is_over));
            async move { most_in_store(&fleet.redis, &is_over).await }
        });
        let accepted = flood(flooded, tenant, FLOOD).await;
        let have_ended = async || live_in_store(&fleet.redis).await == 0;
        assert!(
            poll_until(LONG, have_ended).await,
            "the jobs of {tenant} do not end"
        );
        let took = began.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let (most, counted) = counting.await.expect("the jobs are counted");
        println!(
            "{tenant}: {accepted} accepted in {took:?}, at most {most} live in {counted} counts"
        );
        assert!(most > 0, "no count saw a job");
        assert!(most <= LIVE as u64, "{tenant}: {most} jobs lived");
        // Each job lives at least as long as its call, so within the limit no more can end in this time.
        let allowed = LIVE as f64 * took.as_secs_f64() / CALL.as_secs_f64();
        assert!(accepted as f64 <= allowed, "{accepted} of {allowed}");
        // How many jobs end depends on how busy the machine is.
        assert!(accepted >= 3 * LIVE as u64, "{accepted} were accepted");
    }
    let calls = llm.calls();
    let in_flight = llm.recorded().into_iter().map(|record| {
        let in_flight = calls.in_flight_at(record.request.arrived_at);
        in_flight.count()
    });
    let most = in_flight.max().unwrap_or_default();
    println!("at most {most} calls were in flight");
    assert!(most <= LIVE, "{most} calls were in flight");
}

#[tokio::test]
async fn a_limit_that_one_gateway_sets_applies_at_the_other() {
    let _guard = test_lock::shared().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    let operator = "operator-0123456789-0123456789-01";
    let text = format!("shop:{}\noperator:{operator}:admin\n", key_of("shop"));
    std::fs::write(&keys, text).expect("the file is written");
    let fleet = Fleet::builder()
        .workers(0)
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    let admin = fleet.client_of(0).with_api_key(operator);
    let url = admin.url_of("/v1/admin/tenants/shop/limits");
    let put = admin
        .http()
        .put(url)
        .json(&json!({ "requests": { "quota": 5, "window_s": 600 } }));
    let response = put.send().await.expect("the gateway answers");
    assert_eq!(response.status(), 200);
    let shop = fleet.client_of(1).with_api_key(&key_of("shop"));
    let refused = async || shop.submit(&json!({ "input": "hello" })).await.status == 429;
    assert!(poll_until(LONG, refused).await, "no submit is refused");
}
