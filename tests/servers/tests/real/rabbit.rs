//! RabbitMQ nodes: nodes that one test owns, and the node that tests share.

use std::time::Duration;

use servers::rabbit::{QueueCounts, Rabbit, RabbitOptions, shared};

const fn ready(ready: u64) -> QueueCounts {
    QueueCounts { ready, unacked: 0 }
}

#[tokio::test]
async fn after_a_kill_and_a_restart_messages_and_ports_are_the_same() -> anyhow::Result<()> {
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

    // The messages survive an orderly stop too.
    rabbit.restart().await?;
    let remove = true;
    let messages = vhost.get_messages("q", 10, remove).await?;
    let payloads: Vec<_> = messages.iter().map(|message| &message["payload"]).collect();
    assert_eq!(payloads, ["one", "two"]);
    assert_eq!(rabbit.url(), url);
    Ok(())
}

#[tokio::test]
async fn memory_alarms_are_raised_and_ended_and_a_paused_node_does_not_answer() -> anyhow::Result<()>
{
    let rabbit = Rabbit::start(RabbitOptions::default()).await?;
    assert!(!rabbit.alarmed().await?);
    rabbit.raise_memory_alarm().await?;
    assert!(rabbit.alarmed().await?);
    rabbit.clear_memory_alarm().await?;
    assert!(!rabbit.alarmed().await?);

    // A prepared alarm does not wait for `rabbitmqctl`.
    let alarm = rabbit.prepare_memory_alarm().await?;
    assert!(!rabbit.alarmed().await?, "the alarm was raised too early");
    let alarm = alarm.raise().await?;
    assert!(rabbit.alarmed().await?);
    alarm.end().await?;
    assert!(!rabbit.alarmed().await?);

    rabbit.pause()?;
    let mut answer = Box::pin(rabbit.alarmed());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    assert!(early.is_err(), "a paused node answered");
    rabbit.resume()?;
    assert!(!answer.await?);
    Ok(())
}

#[tokio::test]
async fn tests_that_share_a_node_have_separate_virtual_hosts() -> anyhow::Result<()> {
    let rabbit = shared().await?;
    let (vhost, other_vhost) = (rabbit.vhost().await?, rabbit.vhost().await?);
    assert_ne!(vhost.url(), other_vhost.url());
    vhost.declare("q").await?;
    other_vhost.declare("q").await?;
    vhost.publish_raw("q", &[0xff, 0x00]).await?;
    vhost.until_counts("q", ready(1)).await?;
    assert_eq!(other_vhost.queue_counts("q").await?, ready(0));

    let remove = false;
    let returned = vhost.get_messages("q", 1, remove).await?;
    assert_eq!(returned[0]["payload"], "/wA=");
    vhost.until_counts("q", ready(1)).await?;
    let again = vhost.get_messages("q", 2, remove).await?;
    assert_eq!(again.len(), 1, "the message was not put back");
    vhost.purge("q").await?;
    vhost.until_counts("q", ready(0)).await?;
    assert!(vhost.publish_raw("no-such-queue", b"x").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_node_works_without_the_management_api() -> anyhow::Result<()> {
    let options = RabbitOptions {
        management: false,
        ..RabbitOptions::default()
    };
    let rabbit = Rabbit::start(options).await?;
    let vhost = rabbit.vhost().await?;
    let hosts = rabbit.ctl(&["list_vhosts", "--no-table-headers"]).await?;
    assert!(
        hosts.lines().any(|host| host == vhost.name()),
        "the virtual host is not listed: {hosts}"
    );
    let error = rabbit
        .connections()
        .await
        .expect_err("there is no management API");
    assert!(
        error.to_string().contains("management"),
        "the error does not mention the management API: {error:#}"
    );
    assert!(
        rabbit.ctl(&["no_such_command"]).await.is_err(),
        "an unknown command succeeded"
    );
    Ok(())
}
