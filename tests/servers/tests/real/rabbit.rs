//! RabbitMQ nodes: own ones and the shared one.

use std::time::Duration;

use servers::rabbit::{QueueCounts, Rabbit, RabbitOptions, shared};

const fn ready(ready: u64) -> QueueCounts {
    QueueCounts { ready, unacked: 0 }
}

#[tokio::test]
async fn messages_survive_a_kill_and_the_port_stays() -> anyhow::Result<()> {
    let rabbit = Rabbit::start(RabbitOptions::default()).await?;
    let (url, vhost) = (rabbit.url(), rabbit.vhost().await?);
    vhost.declare("q").await?;
    // RabbitMQ 4 may forget a queue that was declared just before a kill.
    rabbit.restart().await?;
    for message in ["one", "two"] {
        vhost.publish_raw("q", message.as_bytes()).await?;
    }
    rabbit.kill9().await?;
    assert!(rabbit.connections().await.is_err(), "a killed node answers");
    rabbit.restart().await?;
    vhost.until_counts("q", ready(2)).await?;

    // They survive an orderly stop too.
    rabbit.restart().await?;
    let messages = vhost.get_messages("q", 10, true).await?;
    let payloads: Vec<_> = messages.iter().map(|message| &message["payload"]).collect();
    assert_eq!(payloads, ["one", "two"]);
    assert_eq!(rabbit.url(), url);
    Ok(())
}

#[tokio::test]
async fn a_memory_alarm_is_raised_and_ended_and_a_pause_holds() -> anyhow::Result<()> {
    let rabbit = Rabbit::start(RabbitOptions::default()).await?;
    assert!(!rabbit.alarmed().await?);
    rabbit.raise_memory_alarm().await?;
    assert!(rabbit.alarmed().await?);
    rabbit.clear_memory_alarm().await?;
    assert!(!rabbit.alarmed().await?);

    // A prepared alarm does not wait for `rabbitmqctl`.
    let alarm = rabbit.arm_memory_alarm().await?;
    assert!(!rabbit.alarmed().await?, "the alarm was raised too early");
    let alarm = alarm.raise().await?;
    assert!(rabbit.alarmed().await?);
    alarm.end().await?;
    assert!(!rabbit.alarmed().await?);

    rabbit.pause()?;
    let mut asked = Box::pin(rabbit.alarmed());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut asked).await;
    assert!(early.is_err(), "a paused node answered");
    rabbit.resume()?;
    assert!(!asked.await?);
    Ok(())
}

#[tokio::test]
async fn tests_share_a_node_with_separate_virtual_hosts() -> anyhow::Result<()> {
    let rabbit = shared().await?;
    let (one, other) = (rabbit.vhost().await?, rabbit.vhost().await?);
    assert_ne!(one.url(), other.url());
    one.declare("q").await?;
    other.declare("q").await?;
    one.publish_raw("q", &[0xff, 0x00]).await?;
    one.until_counts("q", ready(1)).await?;
    assert_eq!(other.queue_counts("q").await?, ready(0));

    let peeked = one.get_messages("q", 1, false).await?;
    assert_eq!(peeked[0]["payload"], "/wA=");
    one.until_counts("q", ready(1)).await?;
    let again = one.get_messages("q", 2, false).await?;
    assert_eq!(again.len(), 1, "the message was not put back");
    one.purge("q").await?;
    one.until_counts("q", ready(0)).await?;
    assert!(one.publish_raw("no-such-queue", b"x").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_node_works_without_management() -> anyhow::Result<()> {
    let options = RabbitOptions {
        management: false,
        ..RabbitOptions::default()
    };
    let rabbit = Rabbit::start(options).await?;
    let vhost = rabbit.vhost().await?;
    let hosts = rabbit.ctl(&["list_vhosts", "--no-table-headers"]).await?;
    assert!(hosts.lines().any(|host| host == vhost.name()), "{hosts}");
    let error = rabbit
        .connections()
        .await
        .expect_err("there is no management API");
    assert!(error.to_string().contains("management"), "{error:#}");
    assert!(rabbit.ctl(&["no_such_command"]).await.is_err());
    Ok(())
}
