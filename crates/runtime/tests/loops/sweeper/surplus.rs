//! More heads can run than the queue has space for. The others wait without work for the store, and get their wakes when the
//! queue has space.

use std::collections::BTreeSet;

use faulty_store::StoreCall;
use forebay_runtime::member::Member;
use forebay_shared::ids::JobId;

use crate::scene::{Scene, TIMEOUT, claim, finish, new_job_id, pass_ms};

/// How many wakes the queue holds.
const CAPACITY: usize = 10;
/// How many jobs can run.
const JOBS: usize = 60;

/// The name of the session of job number `number`.
fn session(number: usize) -> String {
    format!("s-{number}")
}

/// Admits a job through the process.
async fn admit(scene: &Scene, member: &Member, number: usize) -> JobId {
    let session = session(number);
    let job = new_job_id(&session);
    let change = scene.admission(&session, job, "hello");
    member.lanes.apply(change, TIMEOUT).await.unwrap();
    job
}

/// A process whose queue is full, and its jobs. More jobs can run than the queue has space for.
async fn overloaded(scene: &Scene) -> (Member, Vec<JobId>) {
    scene.queue.set_capacity(CAPACITY);
    let member = scene.join("me");
    pass_ms(1_000).await;
    let mut jobs = Vec::new();
    for number in 0..JOBS {
        jobs.push(admit(scene, &member, number).await);
    }
    pass_ms(5_000).await;
    assert_eq!(scene.queue.woken().len(), CAPACITY);
    (member, jobs)
}

/// Takes wakes from the queue, and runs their jobs to the end. Returns the numbers of the jobs.
async fn run(scene: &Scene, member: &Member, jobs: &[JobId], count: usize) -> Vec<usize> {
    let mut ended = Vec::new();
    for job in scene.queue.take(count) {
        let number = jobs.iter().position(|other| *other == job).unwrap();
        let session = session(number);
        if let Ok(fence) = claim(&member.lanes, &session, job, "me").await {
            let change = finish(&session, job, fence, "reply");
            member.lanes.apply(change, TIMEOUT).await.unwrap();
            ended.push(number);
        }
    }
    ended
}

#[tokio::test(start_paused = true)]
async fn heads_without_space_in_the_queue_cost_few_store_calls() {
    let scene = Scene::new();
    let (_member, jobs) = overloaded(&scene).await;
    let calls = || {
        let calls = [
            StoreCall::Load,
            StoreCall::Commit,
            StoreCall::MoveTimers,
            StoreCall::Heads,
        ];
        calls.map(|call| scene.store.call_count(call))
    };
    let (before, publishes) = (calls(), scene.queue.publishes());
    pass_ms(50_000).await;
    let made: usize = calls().iter().sum::<usize>() - before.iter().sum::<usize>();
    let publishes = scene.queue.publishes() - publishes;
    println!("{made} calls of the store, {publishes} publishes");
    assert!(made <= 10, "{made} calls for {} heads in 50 s", jobs.len());
    assert_eq!(publishes, 0);
}

#[tokio::test(start_paused = true)]
async fn heads_get_their_wakes_when_the_queue_has_space() {
    let scene = Scene::new();
    let (member, jobs) = overloaded(&scene).await;
    let mut left: BTreeSet<usize> = (0..JOBS).collect();
    // 20 jobs in a second. The queue never holds more than its capacity, and is never empty while heads are left.
    for _ in 0..60 {
        for number in run(&scene, &member, &jobs, 5).await {
            left.remove(&number);
        }
        assert!(scene.queue.woken().len() <= CAPACITY);
        pass_ms(260).await;
        if left.is_empty() {
            break;
        }
        assert!(
            !scene.queue.woken().is_empty(),
            "{} heads wait without wakes",
            left.len()
        );
    }
    assert!(left.is_empty(), "{} jobs were not woken", left.len());
    // From now on, new heads are woken at once.
    let publishes = scene.queue.publishes();
    assert!(publishes <= 2 * JOBS, "{publishes} publishes");
    pass_ms(500).await;
    admit(&scene, &member, JOBS).await;
    pass_ms(1).await;
    assert_eq!(scene.queue.woken().len(), 1);
}

/// The job waits behind one that runs for long. When it becomes a head, all jobs of its age have run.
#[tokio::test(start_paused = true)]
async fn a_head_that_becomes_ready_late_gets_its_wake() {
    let scene = Scene::new();
    let (member, mut jobs) = overloaded(&scene).await;
    let first = scene.queue.take(1)[0];
    let number = jobs.iter().position(|job| *job == first).unwrap();
    let session = session(number);
    let fence = claim(&member.lanes, &session, first, "me").await.unwrap();
    let late = new_job_id(&session);
    let change = scene.admission(&session, late, "again");
    member.lanes.apply(change, TIMEOUT).await.unwrap();

    // For each job that ends, another comes. So the queue would always be full.
    let mut rounds_as_head = 0;
    for round in 0..400 {
        if round == 200 {
            let change = finish(&session, first, fence, "reply");
            member.lanes.apply(change, TIMEOUT).await.unwrap();
        }
        if scene.queue.woken().contains(&late) {
            println!("the head had its wake after {rounds_as_head} rounds");
            return;
        }
        rounds_as_head += usize::from(round >= 200);
        for _ in run(&scene, &member, &jobs, 1).await {
            let new = admit(&scene, &member, jobs.len()).await;
            jobs.push(new);
        }
        pass_ms(50).await;
    }
    panic!("the head has no wake after {rounds_as_head} rounds");
}

#[tokio::test(start_paused = true)]
async fn new_heads_do_not_overtake_those_that_wait_for_space() {
    let scene = Scene::new();
    let (member, mut jobs) = overloaded(&scene).await;
    let mut left: BTreeSet<usize> = (0..JOBS).collect();
    // For each job that ends, another comes. So the queue would always be full.
    for round in 0..200 {
        for number in run(&scene, &member, &jobs, 1).await {
            left.remove(&number);
            let new = admit(&scene, &member, jobs.len()).await;
            jobs.push(new);
        }
        pass_ms(50).await;
        if left.is_empty() {
            println!("after {round} rounds, all first jobs have run");
            break;
        }
    }
    assert!(
        left.is_empty(),
        "{} of the first jobs still wait",
        left.len()
    );
}
