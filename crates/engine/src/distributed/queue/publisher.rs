//! Sends messages and tells each sender when the broker has its message for sure.
//!
//! One task owns the publishing channel. Of a publish lapin takes the delivery tag under one lock and
//! queues the frames under another, so that two tasks that publish on one channel can come by each
//! other's confirms. Here both happen in one poll of one task.
//!
//! Without a connection, and while an alarm blocks it, a publish fails at once: its job's timer makes up
//! for it, and nothing piles up here.

use std::{
    collections::{BTreeMap, HashSet},
    future::Future,
    time::Duration,
};

use forebay_shared::queue::QueueError;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{FieldTable, ShortString},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    confirms::{Outcome, Settled, judge},
    link::{Link, LinkError, Links, within},
};

/// A confirm that takes longer does not come: the generation ends.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes that wait for their confirms at a time: enough for all that the broker can confirm.
const IN_FLIGHT_MAX: usize = 1024;

/// Publishes that wait for room among these.
const WAITING_MAX: usize = 1024;

/// For a publish from its call to its answer, should the task be held up by whatever.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a publish is not known to have got through.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Unpublished {
    #[error("there is no connection to the broker")]
    Away,
    #[error("the broker takes nothing now: an alarm blocks the connection")]
    Blocked,
    #[error("the broker did not confirm in time")]
    Unconfirmed,
    #[error("the broker refused the message")]
    Refused,
    #[error("the queue is not there")]
    Unroutable,
}

impl From<Unpublished> for QueueError {
    fn from(error: Unpublished) -> Self {
        Self::Unavailable(Some(Box::new(error)))
    }
}

/// The handle of the task.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    orders: mpsc::Sender<Order>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Order {
    queue: ShortString,
    body: Vec<u8>,
    headers: FieldTable,
    answer: oneshot::Sender<Result<(), Unpublished>>,
}

impl Publisher {
    /// Puts a message in a queue; returns once the broker has it for sure.
    pub(super) async fn publish(
        &self,
        queue: ShortString,
        body: Vec<u8>,
        headers: FieldTable,
    ) -> Result<(), QueueError> {
        let (answer, answered) = oneshot::channel();
        let order = Order {
            queue,
            body,
            headers,
            answer,
        };
        let published = async {
            if self.closing.is_cancelled() || self.orders.send(order).await.is_err() {
                return Err(QueueError::Closed);
            }
            match answered.await {
                Ok(answer) => Ok(answer?),
                // The generation ended.
                Err(_dropped) => Err(Unpublished::Away.into()),
            }
        };
        tokio::time::timeout(PUBLISH_TIMEOUT, published)
            .await
            .unwrap_or_else(|_late| Err(Unpublished::Unconfirmed.into()))
    }
}

/// The handle, and the task to be spawned. It ends after `closing`, with the last confirm.
pub(super) fn start(
    links: Links,
    name: String,
    closing: CancellationToken,
) -> (Publisher, impl Future<Output = ()> + Send) {
    let (orders, taken) = mpsc::channel(WAITING_MAX);
    let publisher = Publisher {
        orders,
        closing: closing.clone(),
    };
    let desk = Desk {
        orders: taken,
        links,
        name: ShortString::from(name),
        closing,
    };
    (publisher, desk.run())
}

struct Desk {
    orders: mpsc::Receiver<Order>,
    links: Links,
    name: ShortString,
    closing: CancellationToken,
}

/// A publish on its way.
struct Flight {
    answer: oneshot::Sender<Result<(), Unpublished>>,
    deadline: Instant,
}

/// Why nothing more is sent over a generation.
enum End {
    /// It has ended.
    Generation,
    /// Nobody has anything to send any more.
    Orders,
}

impl Desk {
    async fn run(mut self) {
        loop {
            // Looked at anew at each turn, and waited for only if there is none.
            self.links.0.mark_unchanged();
            if let Some(link) = self.links.now() {
                match self.serve(&link).await {
                    Ok(End::Orders) => return,
                    Ok(End::Generation) => {}
                    Err(error) => link.end(&error),
                }
                continue;
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                more = self.links.changed() => if !more { return },
                order = self.orders.recv() => match order {
                    Some(order) => answer(order.answer, Err(Unpublished::Away)),
                    None => return,
                },
            }
        }
    }

    /// Publishes over one generation until it or the orders end. What is on its way when the generation
    /// ends is answered by being dropped.
    async fn serve(&mut self, link: &Link) -> Result<End, LinkError> {
        let channel = link.channel().await?;
        let options = ConfirmSelectOptions::default();
        within("confirm.select", channel.confirm_select(options)).await?;
        let mut blocked = link.blocked();
        let mut flights: BTreeMap<u64, Flight> = BTreeMap::new();
        let mut confirms = FuturesUnordered::new();
        let mut returned = HashSet::new();
        let mut number = 0_u64;
        let mut ending = false;
        loop {
            if ending && flights.is_empty() && self.orders.is_empty() {
                return Ok(End::Orders);
            }
            // Numbers and deadlines rise together.
            let oldest = flights.first_key_value().map(|(_, f)| f.deadline);
            tokio::select! {
                biased;
                () = link.ended() => return Ok(End::Generation),
                Some(first) = confirms.next(), if !confirms.is_empty() => {
                    let mut batch = vec![first?];
                    take_settled(&channel, &mut confirms, &mut batch).await?;
                    let mut queue_is_gone = false;
                    for (number, outcome) in judge(&batch, &mut returned) {
                        queue_is_gone |= outcome == Outcome::Unroutable;
                        if let Some(flight) = flights.remove(&number) {
                            answer(flight.answer, outcome.into());
                        }
                    }
                    if queue_is_gone {
                        // The next generation declares it again.
                        link.end(&Unpublished::Unroutable);
                        return Ok(End::Generation);
                    }
                }
                Ok(()) = blocked.changed() => {
                    if *blocked.borrow_and_update() {
                        // They may go out when the alarm ends, or not. The bound on `confirms` holds
                        // for them until then.
                        for (_, flight) in std::mem::take(&mut flights) {
                            answer(flight.answer, Err(Unpublished::Blocked));
                        }
                    }
                }
                () = passed(oldest), if oldest.is_some() => {
                    return Err(LinkError::Late("basic.publish"));
                }
                order = self.orders.recv(), if confirms.len() < IN_FLIGHT_MAX => match order {
                    None => ending = true,
                    Some(order) if *blocked.borrow() => {
                        answer(order.answer, Err(Unpublished::Blocked));
                    }
                    Some(order) => {
                        number += 1;
                        let deadline = Instant::now() + CONFIRM_TIMEOUT;
                        let flight = Flight { answer: order.answer, deadline };
                        flights.insert(number, flight);
                        let properties = self.properties(number, order.headers);
                        confirms.push(publish(&channel, number, order.queue, order.body, properties));
                    }
                },
                () = self.closing.cancelled(), if !ending => {
                    self.orders.close();
                    ending = true;
                }
            }
        }
    }

    fn properties(&self, number: u64, headers: FieldTable) -> BasicProperties {
        BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_app_id(self.name.clone())
            .with_message_id(number.to_string().into())
            .with_headers(headers)
    }
}

/// One publish, from its frames to its confirm.
async fn publish(
    channel: &Channel,
    number: u64,
    queue: ShortString,
    body: Vec<u8>,
    properties: BasicProperties,
) -> lapin::Result<Settled> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let sent = channel.basic_publish("".into(), queue, options, &body, properties);
    let confirmation = sent.await?.await?;
    let acked = confirmation.is_ack();
    let returned = confirmation.take_message().and_then(|message| {
        let id = message.properties.message_id().as_ref()?;
        id.as_str().parse().ok()
    });
    Ok(Settled {
        number,
        acked,
        returned,
    })
}

/// Takes all confirms that are settled by now, so that no publish is judged without the returned
/// messages that came before its own confirm.
async fn take_settled<F>(
    channel: &Channel,
    confirms: &mut FuturesUnordered<F>,
    batch: &mut Vec<Settled>,
) -> lapin::Result<()>
where
    F: Future<Output = lapin::Result<Settled>>,
{
    // lapin settles the confirms of a `multiple` one after the other under a lock. This call takes that
    // lock on its first poll, before it waits for anything: after it, all of them are settled.
    let _barrier = channel.wait_for_confirms().now_or_never();
    // Twice, as the first round may break off early to let others run.
    for _round in 0..2 {
        while let Some(Some(settled)) = confirms.next().now_or_never() {
            batch.push(settled?);
        }
    }
    Ok(())
}

async fn passed(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

impl From<Outcome> for Result<(), Unpublished> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Stored => Ok(()),
            Outcome::Refused => Err(Unpublished::Refused),
            Outcome::Unroutable => Err(Unpublished::Unroutable),
        }
    }
}

fn answer(to: oneshot::Sender<Result<(), Unpublished>>, answer: Result<(), Unpublished>) {
    // Whoever asked may have stopped waiting.
    let _gone = to.send(answer);
}
