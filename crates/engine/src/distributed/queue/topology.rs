//! Declares the queues: one for each class's wakes, and one for unreadable messages.
//!
//! It declares no exchange (messages go through the default exchange), no delay queue and no dead-letter exchange: jobs that
//! must wait have timers in the store.

use forebay_shared::class::Class;
use lapin::{
    Channel,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable, ShortString},
};

/// The delivery limit of a quorum queue. It is so high that no message reaches it: the rules of the lane limit the tries of
/// a job, not the broker. By default, RabbitMQ 4.0 and later drop a message after 20 deliveries. When a worker dies, each
/// message that it had prefetched is delivered again, and this delivery counts too. Queues accept this argument since
/// RabbitMQ 3.10.
const DELIVERIES_MAX: i64 = 1_000_000;

/// The bounds of the queue for unreadable messages. At either bound, RabbitMQ drops the oldest messages.
const UNREADABLE_MESSAGES_MAX: i64 = 10_000;
const UNREADABLE_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// The names of the queues.
#[derive(Clone, Debug)]
pub(super) struct QueueNames {
    interactive: ShortString,
    batch: ShortString,
    pub(super) unreadable: ShortString,
}

impl QueueNames {
    pub(super) fn with_prefix(prefix: &str) -> Self {
        let jobs = |class: Class| ShortString::from(format!("{prefix}.jobs.{class}"));
        Self {
            interactive: jobs(Class::Interactive),
            batch: jobs(Class::Batch),
            unreadable: ShortString::from(format!("{prefix}.unreadable")),
        }
    }

    pub(super) fn jobs(&self, class: Class) -> &ShortString {
        match class {
            Class::Interactive => &self.interactive,
            Class::Batch => &self.batch,
        }
    }
}

/// Declares all queues. Each new connection calls this, so a reconnect restores queues that were deleted or
/// lost with the broker's disk.
pub(super) async fn declare(channel: &Channel, names: &QueueNames) -> lapin::Result<()> {
    for class in Class::ALL {
        declare_quorum(channel, names.jobs(class).clone(), FieldTable::default()).await?;
    }
    let mut bounds = FieldTable::default();
    bounds.insert(
        "x-max-length".into(),
        AMQPValue::LongLongInt(UNREADABLE_MESSAGES_MAX),
    );
    bounds.insert(
        "x-max-length-bytes".into(),
        AMQPValue::LongLongInt(UNREADABLE_BYTES_MAX),
    );
    declare_quorum(channel, names.unreadable.clone(), bounds).await
}

/// Declares a quorum queue, which survives the loss of a node. Even on a single node it confirms faster than a
/// classic queue.
async fn declare_quorum(
    channel: &Channel,
    name: ShortString,
    mut arguments: FieldTable,
) -> lapin::Result<()> {
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    arguments.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(DELIVERIES_MAX),
    );
    channel
        .queue_declare(name, QueueDeclareOptions::durable(), arguments)
        .await
        .map(drop)
}
