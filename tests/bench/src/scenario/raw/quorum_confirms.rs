//! Confirms of a quorum queue, with lapin: persistent messages of the size of a job message, 512 in flight.

use std::time::Instant;

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::context::Context;

const IN_FLIGHT: usize = 512;
const MESSAGE_BYTES: usize = 200;
const QUEUE: &str = "bench.confirms";

pub(super) async fn measure(context: &Context) -> anyhow::Result<Vec<(String, f64)>> {
    let vhost = context.servers.rabbit().await?.vhost().await?;
    let connection = Connection::connect(vhost.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments)
        .await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;

    let messages = context.run.size(100_000, 1_000);
    let body = [b'x'; MESSAGE_BYTES];
    let publish = async |_| -> anyhow::Result<()> {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), QUEUE.into(), options, &body, properties);
        let confirm = sent.await?.await?;
        ensure!(confirm.is_ack(), "RabbitMQ refused a message");
        Ok(())
    };
    let began = Instant::now();
    stream::iter(0..messages)
        .map(publish)
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    let per_s = f64::from(messages) / began.elapsed().as_secs_f64();
    channel
        .queue_delete(QUEUE.into(), lapin::options::QueueDeleteOptions::default())
        .await?;
    connection.close(200, "OK".into()).await?;
    Ok(vec![(
        format!("RabbitMQ, confirms of a quorum queue, {IN_FLIGHT} in flight, /s"),
        per_s,
    )])
}
