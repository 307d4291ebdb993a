//! A simulation of gateways that lease, spend and return permits at random.

use super::*;

/// Random numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A gateway of the simulation.
#[derive(Default)]
struct Gateway {
    window: Option<TimeMs>,
    /// The unspent permits for requests.
    requests: u64,
    /// The free permits for live jobs.
    live: u64,
    /// The permits of jobs that are being admitted.
    in_use: u64,
    /// The most unspent permits that an idle gateway keeps: for requests, and for live jobs.
    kept_max: (u64, u64),
    /// When its lease expires.
    until: u64,
}

/// Gateways lease, spend and return permits in any order, lose responses and die. No window has more requests than its quota,
/// and the jobs that live or are being admitted are never more than the limit.
#[test]
fn no_limit_is_passed() {
    let seed = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("FOREBAY_TEST_SEED={seed}");
    let mut random = Random(seed | 1);
    for round in 0..200 {
        simulate(&mut random, round);
    }
}

fn simulate(random: &mut Random, round: u32) {
    let (quota, live_quota) = (1 + random.below(300), 1 + random.below(100));
    let as_u32 = |number: u64| u32::try_from(number).expect("a small number");
    let limits = limits(Some((as_u32(quota), 100)), Some(as_u32(live_quota)));
    let mut scene = Scene::new(limits);
    let mut gateways: Vec<Gateway> = Vec::new();
    gateways.resize_with(1 + small(random.below(3)), Gateway::default);
    let (mut jobs, mut spent, mut window) = (0_u64, 0, None);
    for step in 0..1_500 {
        scene.now += random.below(200);
        for gateway in &mut gateways {
            // An admission ends before its lease expires.
            if gateway.until < scene.now + 1_000 {
                jobs += std::mem::take(&mut gateway.in_use);
            }
        }
        let at = small(random.below(gateways.len() as u64));
        let gateway = &mut gateways[at];
        let is_valid = gateway.until > scene.now + 2_000;
        let window_ended =
            (gateway.window).is_none_or(|begins_at| scene.now >= begins_at.0 + 100_000);
        match random.below(14) {
            0..=3 if is_valid && !window_ended && gateway.requests > 0 => {
                if window != gateway.window {
                    (window, spent) = (gateway.window, 0);
                }
                gateway.requests -= 1;
                spent += 1;
            }
            4..=5 if is_valid && gateway.live > 0 => {
                gateway.live -= 1;
                gateway.in_use += 1;
            }
            0..=6 => gateway.call(&mut scene, at, jobs, random),
            // An admission ends: the job is stored, or refused.
            7..=9 if gateway.in_use > 0 => {
                gateway.in_use -= 1;
                jobs += u64::from(random.below(5) > 0);
            }
            10..=12 => jobs = jobs.saturating_sub(random.below(3)),
            13 if random.below(60) == 0 && gateway.in_use == 0 => *gateway = Gateway::default(),
            _ => {}
        }
        let in_use: u64 = gateways.iter().map(|gateway| gateway.in_use).sum();
        let place = format!("round {round}, step {step}");
        assert!(spent <= quota, "{place}: {spent} of {quota}");
        assert!(
            jobs + in_use <= live_quota,
            "{place}: {jobs} + {in_use} of {live_quota}"
        );
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

impl Gateway {
    fn call(&mut self, scene: &mut Scene, at: usize, jobs: u64, random: &mut Random) {
        let returns = random.below(8) == 0;
        let mut returned = 0;
        if returns {
            let kept = self.requests.min(self.kept_max.0);
            returned = self.requests - kept;
            self.requests = kept;
            self.live = self.live.min(self.kept_max.1);
        }
        if self.until <= scene.now {
            (self.requests, self.live, returned) = (0, 0, 0);
        }
        let wanted = if returns { 0 } else { 1 + random.below(3) };
        let requests = RequestPermits {
            window: self.window,
            held: self.requests,
            returned,
            wanted,
            expected: random.below(20),
        };
        let live = LivePermits {
            held: self.live + self.in_use,
            wanted,
            expected: random.below(20),
            jobs: (!returns).then_some(jobs),
        };
        let grant = scene.call(["a", "b", "c"][at], requests, live);
        if random.below(50) == 0 {
            // The response is lost.
            return;
        }
        let begins_at = grant.window.map(|(begins_at, _)| begins_at);
        if self.window != begins_at {
            (self.window, self.requests) = (begins_at, 0);
        }
        self.requests += grant.requests;
        self.live += grant.live;
        self.kept_max = (grant.requests_kept_max, grant.live_kept_max);
        self.until = grant.until.0;
    }
}
