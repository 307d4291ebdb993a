//! Takes wakes from the queue as slots fall free.
//!
//! Of each class one wake is in hand whenever there is one, so that it is known whether the class has
//! work ([`Slots`] decides which is next); a few of interactive are ready behind it. While this process is out of touch with the store it takes none
//! and gives back what it holds. What becomes of a wake is the attempt's business.

use std::{sync::Arc, time::Duration};

use forebay_shared::{
    class::Class,
    queue::{Delivery, Queue, QueueError},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    attempt::{self, Desk},
    slots::{Slots, Waiting},
};

/// How often it is checked that the store answers and that no wake is in hand for too long.
const CHECK: Duration = Duration::from_millis(250);
/// A wake that waits for a slot for so long is given back: another worker may have one.
const IN_HAND_MAX: Duration = Duration::from_secs(1);
/// Interactive wakes that are ready behind the one in hand: when several slots fall free at once and
/// none were, batch would get the rest of them.
const AHEAD: usize = 32;
/// How long the queue may take to hand out the next wake after it was told that one is settled: a round trip to a
/// broker. For so long none in hand does not mean that there is none.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(25);
/// The pause before a consumer that could not begin is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes wakes and starts attempts.
pub(crate) struct Intake {
    desk: Arc<Desk>,
    slots: Slots,
    interactive: Hand,
    batch: Hand,
    /// Kept, so that `freed` never ends.
    free: mpsc::UnboundedSender<Class>,
    /// Holds no more than there are slots.
    freed: mpsc::UnboundedReceiver<Class>,
}

/// A slot in use, until this is dropped.
pub(crate) struct Slot {
    class: Class,
    free: mpsc::UnboundedSender<Class>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Nobody needs it any more once the intake has ended.
        let _ = self.free.send(self.class);
    }
}

impl Intake {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        let (free, freed) = mpsc::unbounded_channel();
        Self {
            slots: Slots::new(desk.settings.concurrency),
            interactive: Hand::new(Class::Interactive),
            batch: Hand::new(Class::Batch),
            desk,
            free,
            freed,
        }
    }

    /// Takes wakes until the worker is told to stop; then gives back what it holds.
    pub(crate) async fn run(mut self) {
        let mut check = interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start();
            tokio::select! {
                () = self.desk.stop.cancelled() => break,
                Some(class) = self.freed.recv() => {
                    self.slots.free(class);
                    self.hand(class).expect_next();
                }
                () = self.interactive.fill() => {}
                () = self.batch.fill() => {}
                _ = check.tick() => self.check(),
            }
        }
    }

    /// Starts what fits.
    fn start(&mut self) {
        for hand in [&mut self.interactive, &mut self.batch] {
            hand.refill();
            hand.drop_repeat(&self.desk);
        }
        while let Some(class) = self.slots.next(self.waiting()) {
            if !self.desk.member.presence.in_touch() {
                self.pause();
                return;
            }
            let hand = self.hand(class);
            let Some(delivery) = hand.held.take() else {
                return;
            };
            hand.refill();
            let Some(note) = self.desk.table.note(delivery.wake.job) else {
                delivery.ack();
                continue;
            };
            self.slots.take(class);
            let slot = Slot {
                class,
                free: self.free.clone(),
            };
            // Boxed, since each of the wrappers below would hold it twice.
            let attempt = Box::pin(attempt::run(Arc::clone(&self.desk), delivery, note, slot));
            self.desk
                .attempts
                .spawn(self.desk.kill.clone().run_until_cancelled_owned(attempt));
        }
    }

    fn waiting(&self) -> Waiting {
        Waiting {
            interactive: self.interactive.held.is_some(),
            batch: self.batch.held.is_some(),
            interactive_follows: self.interactive.may_follow(),
        }
    }

    const fn hand(&mut self, class: Class) -> &mut Hand {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Batch => &mut self.batch,
        }
    }

    fn check(&mut self) {
        if !self.desk.member.presence.in_touch() {
            self.pause();
            return;
        }
        for class in Class::ALL {
            let unacked_max = self.slots.unacked_max(class);
            let queue = Arc::clone(&self.desk.member.queue);
            let hand = self.hand(class);
            hand.begin(queue, unacked_max);
            hand.give_back_after(IN_HAND_MAX);
        }
    }

    /// Stops to consume. Without the store no job can be claimed, and another worker may have it.
    fn pause(&mut self) {
        if self.interactive.feed.is_some() || self.batch.feed.is_some() {
            tracing::warn!("the store does not answer: no more jobs are taken until it does");
        }
        self.interactive.let_go();
        self.batch.let_go();
    }
}

/// What is in hand of one class.
struct Hand {
    class: Class,
    feed: Option<Feed>,
    held: Option<Delivery>,
    since: Instant,
    /// Until when the next wake may be on its way.
    expected_until: Option<Instant>,
}

/// A running consumer.
struct Feed {
    wakes: mpsc::Receiver<Delivery>,
    _task: AbortOnDropHandle<()>,
}

impl Hand {
    fn new(class: Class) -> Self {
        Self {
            class,
            feed: None,
            held: None,
            since: Instant::now(),
            expected_until: None,
        }
    }

    /// A wake was settled, so the queue may hand out the next.
    fn expect_next(&mut self) {
        self.expected_until = Some(Instant::now() + FOLLOWS_WITHIN);
    }

    /// Whether none is in hand only because the next may be on its way.
    fn may_follow(&self) -> bool {
        self.held.is_none() && self.feed.is_some() && self.expected_until.is_some()
    }

    /// Takes the next wake in hand, if one is ready.
    fn refill(&mut self) {
        if self.held.is_none()
            && let Some(feed) = &mut self.feed
            && let Ok(next) = feed.wakes.try_recv()
        {
            self.held = Some(next);
            self.since = Instant::now();
        }
    }

    /// Begins to consume, unless it does.
    fn begin(&mut self, queue: Arc<dyn Queue>, unacked_max: usize) {
        if self.feed.is_none() {
            let ahead = match self.class {
                Class::Interactive => AHEAD,
                Class::Batch => 1,
            };
            let (sender, wakes) = mpsc::channel(ahead);
            let task = tokio::spawn(feed(queue, self.class, unacked_max, sender));
            self.feed = Some(Feed {
                wakes,
                _task: AbortOnDropHandle::new(task),
            });
            self.expect_next();
        }
    }

    /// Waits until a wake has come into the empty hand, or until the one that was expected should have. Safe to
    /// drop and to call again.
    async fn fill(&mut self) {
        let Some(feed) = self.feed.as_mut().filter(|_| self.held.is_none()) else {
            return std::future::pending().await;
        };
        let next = feed.wakes.recv();
        let next = match self.expected_until {
            None => next.await,
            Some(until) => match timeout_at(until, next).await {
                Ok(next) => next,
                Err(_) => {
                    self.expected_until = None;
                    return;
                }
            },
        };
        self.held = next;
        self.since = Instant::now();
        if self.held.is_none() {
            // It ended: the next check begins anew.
            self.feed = None;
        }
    }

    /// A second message for a job that this process is at work on needs no slot to be dropped.
    fn drop_repeat(&mut self, desk: &Desk) {
        if let Some(repeat) = self.held.take_if(|held| desk.table.holds(held.wake.job)) {
            repeat.ack();
        }
    }

    fn give_back_after(&mut self, time: Duration) {
        if self.since.elapsed() >= time
            && let Some(delivery) = self.held.take()
        {
            delivery.give_back();
            while let Some(Ok(behind)) = self.feed.as_mut().map(|feed| feed.wakes.try_recv()) {
                behind.give_back();
            }
        }
    }

    fn let_go(&mut self) {
        self.feed = None;
        if let Some(delivery) = self.held.take() {
            delivery.give_back();
        }
    }
}

/// Consumes, a few wakes ahead of who takes them. In a task of its own, because a consumer must not be
/// dropped while it begins.
async fn feed(
    queue: Arc<dyn Queue>,
    class: Class,
    unacked_max: usize,
    wakes: mpsc::Sender<Delivery>,
) {
    loop {
        match queue.consume(class, unacked_max).await {
            Ok(mut consumer) => {
                while let Ok(room) = wakes.reserve().await {
                    let Some(delivery) = consumer.next().await else {
                        break;
                    };
                    room.send(delivery);
                }
            }
            // It ends with this process, so nothing is to be said; but if not, it is tried again.
            Err(QueueError::Closed) => {}
            Err(error) => tracing::warn!(%class, %error, "wakes cannot be consumed"),
        }
        sleep(AGAIN).await;
    }
}
