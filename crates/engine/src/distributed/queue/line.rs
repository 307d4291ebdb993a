//! Receives the wakes of one class, over one generation after the other, and hands them to its consumer.
//!
//! A stream that ends without having been asked to is a failure, whatever lapin says of it.

use std::sync::Arc;

use forebay_shared::{
    class::Class,
    queue::{Delivery, Settle},
};
use futures_util::StreamExt as _;
use lapin::{
    Channel, Consumer as Messages,
    message::Delivery as Message,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    acker::{self, Notes},
    consumer::Incoming,
    link::{Link, LinkError, Links, Site, within},
    publisher::Publisher,
    reading::read,
    runs::Note,
    slots::{Generation, Slot, Slots},
    unreadable::set_aside,
};

/// What a line is to do.
pub(super) struct Order {
    pub(super) class: Class,
    pub(super) site: Arc<Site>,
    pub(super) unacked_max: usize,
    pub(super) links: Links,
    /// For what cannot be read.
    pub(super) publisher: Publisher,
    /// Ends the line.
    pub(super) closing: CancellationToken,
    pub(super) work: TaskTracker,
    /// The consumer. When it goes, the line ends.
    pub(super) out: mpsc::Sender<Incoming>,
    /// Told once the broker knows of this consumer.
    pub(super) begun: Option<oneshot::Sender<()>>,
}

/// One class, one consumer.
pub(super) struct Line {
    order: Order,
    tag: ShortString,
    slots: Slots,
}

/// One consumer of the broker's.
struct Subscription<'a> {
    link: &'a Arc<Link>,
    generation: &'a Generation,
    /// How much was held from before when it began.
    held_before: usize,
    messages: Messages,
    notes: Notes,
}

/// Why a line stops receiving from a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It was asked to, or nobody receives any more.
    Asked,
    /// There is room to prefetch more.
    Room,
    /// The generation has ended.
    Ended,
}

impl Line {
    pub(super) fn new(order: Order) -> Self {
        Self {
            // What the management UI tells consumers by.
            tag: ShortString::from(format!("{} {}", order.site.name, order.class)),
            slots: Slots::new(order.unacked_max),
            order,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let link = tokio::select! {
                () = self.order.closing.cancelled() => return,
                () = self.order.out.closed() => return,
                link = self.order.links.next() => match link {
                    Some(link) => link,
                    None => return,
                },
            };
            let generation = Generation::default();
            loop {
                match self.receive(&link, &generation).await {
                    Ok(Stop::Asked) => return,
                    Ok(Stop::Room) => continue,
                    Ok(Stop::Ended) => {}
                    Err(error) => link.end(&error),
                }
                break;
            }
        }
    }

    /// Receives until there is a reason to stop.
    async fn receive(
        &mut self,
        link: &Arc<Link>,
        generation: &Generation,
    ) -> Result<Stop, LinkError> {
        let held_before = self.slots.held_before(generation);
        let prefetch = self.slots.prefetch(held_before);
        let channel = link.channel().await?;
        let messages = self.subscribe(&channel, prefetch).await?;
        if let Some(begun) = self.order.begun.take() {
            // Whoever waited for this may have given up; then `out` is closed too.
            let _gone = begun.send(());
        }
        let mut subscription = Subscription {
            link,
            generation,
            held_before,
            messages,
            notes: acker::start(channel.clone(), Arc::clone(link), &self.order.work),
        };
        let stop = self.hand_on(&mut subscription).await?;
        if stop != Stop::Ended {
            // What was prefetched goes back at once. What was handed out is settled when it is settled,
            // and the channel stays for that.
            let cancel = channel.basic_cancel(self.tag.clone(), BasicCancelOptions::default());
            within("basic.cancel", cancel).await?;
            while let Some(Ok(message)) = subscription.messages.next().await {
                give_back(&subscription.notes, &message);
            }
        }
        Ok(stop)
    }

    async fn subscribe(&self, channel: &Channel, prefetch: u16) -> Result<Messages, LinkError> {
        // Before the consumer begins: lapin keeps whatever comes, without a bound.
        let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
        within("basic.qos", qos).await?;
        let consume = channel.basic_consume(
            self.order.site.names.jobs(self.order.class).clone(),
            self.tag.clone(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        within("basic.consume", consume).await
    }

    async fn hand_on(&self, from: &mut Subscription<'_>) -> Result<Stop, LinkError> {
        let Order { closing, out, .. } = &self.order;
        loop {
            let halved = self.slots.halved(from.held_before, from.generation);
            // Taken only when it can be handed on, so that what is prefetched stays in one place.
            let room = async {
                let place = out.reserve().await.ok()?;
                Some((self.slots.take(from.generation).await, place))
            };
            let (slot, place) = tokio::select! {
                biased;
                () = from.link.ended() => return Ok(Stop::Ended),
                () = closing.cancelled() => return Ok(Stop::Asked),
                () = out.closed() => return Ok(Stop::Asked),
                () = halved => return Ok(Stop::Room),
                room = room => match room {
                    Some(room) => room,
                    None => return Ok(Stop::Asked),
                },
            };
            let halved = self.slots.halved(from.held_before, from.generation);
            let message = tokio::select! {
                biased;
                () = from.link.ended() => return Ok(Stop::Ended),
                () = closing.cancelled() => return Ok(Stop::Asked),
                () = out.closed() => return Ok(Stop::Asked),
                () = halved => return Ok(Stop::Room),
                message = from.messages.next() => message,
            };
            // Without having been asked to, a stream ends because its queue was deleted or moved.
            let message = message.ok_or(LinkError::Gone)??;
            self.hand_over(message, slot, place, from);
        }
    }

    fn hand_over(
        &self,
        message: Message,
        slot: Slot,
        place: mpsc::Permit<'_, Incoming>,
        from: &Subscription<'_>,
    ) {
        let (tag, notes) = (message.delivery_tag, from.notes.clone());
        notes.take(Note::Received(tag));
        match read(&message.data) {
            Ok(wake) => {
                let delivery = Delivery::new(wake, move |_, how| {
                    notes.take(Note::Settled(tag, how));
                    slot.free();
                });
                let generation = from.link.end_token();
                place.send(Incoming {
                    delivery,
                    generation,
                });
            }
            Err(reason) => {
                let site = Arc::clone(&self.order.site);
                let publisher = self.order.publisher.clone();
                let link = Arc::clone(from.link);
                // As many as there are slots, at most.
                self.order.work.spawn(async move {
                    set_aside(message, reason, site, publisher, link, notes).await;
                    slot.free();
                });
            }
        }
    }
}

fn give_back(notes: &Notes, message: &Message) {
    notes.take(Note::Received(message.delivery_tag));
    notes.take(Note::Settled(message.delivery_tag, Settle::GiveBack));
}
