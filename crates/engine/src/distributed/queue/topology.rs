//! What is declared on the broker: two queues of wakes, and one of messages that nobody could read.
//!
//! No exchange, no delays, no dead-letter cycles: waiting is the timers' work.

use forebay_shared::class::Class;
use lapin::{
    Channel,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable, ShortString},
};

/// Since RabbitMQ 4.0 a quorum queue drops a message after 20 deliveries, and a worker that dies spends
/// one for everything it had prefetched. How often a job is tried is the lane's to count, so the limit
/// here is as good as none; 3.10 knows the argument too, and no other way to say so.
const DELIVERIES_MAX: i64 = 1_000_000;

/// What is set aside is for people to look at; the oldest make room.
const UNREADABLE_MAX: i64 = 10_000;
const UNREADABLE_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// The names of the queues.
#[derive(Clone, Debug)]
pub(super) struct Names {
    interactive: ShortString,
    batch: ShortString,
    pub(super) unreadable: ShortString,
}

impl Names {
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

/// Declares all queues: at each new connection, so that a queue that was deleted, or a broker that lost
/// its disk, is made good by the reconnect that follows.
pub(super) async fn declare(channel: &Channel, names: &Names) -> lapin::Result<()> {
    for class in Class::ALL {
        declare_quorum(channel, names.jobs(class).clone(), FieldTable::default()).await?;
    }
    let mut bounds = FieldTable::default();
    bounds.insert(
        "x-max-length".into(),
        AMQPValue::LongLongInt(UNREADABLE_MAX),
    );
    bounds.insert(
        "x-max-length-bytes".into(),
        AMQPValue::LongLongInt(UNREADABLE_BYTES_MAX),
    );
    declare_quorum(channel, names.unreadable.clone(), bounds).await
}

/// Quorum queues survive a node, and even on a single one they confirm faster than classic ones.
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
