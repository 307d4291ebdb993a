//! Settles the deliveries of one channel: one task, so that what piles up while a frame is on its way
//! goes out together.
//!
//! A delivery that stays unsettled for 30 minutes makes the broker close its channel, so the time limits
//! of calls stay well below.

use std::sync::Arc;

use futures_util::future::try_join_all;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    link::{Link, LinkError, within},
    runs::{Frame, Note, Runs},
};

/// Settled at a time, at most.
const PILE_MAX: usize = 1024;

/// Begins to settle what `Notes` say, until all of them are gone or the generation has ended; then
/// closes the channel. What comes after the end of the generation is dropped: the broker delivers it
/// again.
pub(super) fn start(channel: Channel, link: Arc<Link>, work: &TaskTracker) -> Notes {
    // Without a bound of its own, because settling must not wait: there are at most two notes for each
    // delivery, and these are bounded by the prefetch.
    let (sender, notes) = mpsc::unbounded_channel();
    work.spawn(async move {
        if let Err(error) = settle(&channel, &link, notes).await {
            link.end(&error);
        }
    });
    Notes(sender)
}

/// Where the notes go.
#[derive(Clone, Debug)]
pub(super) struct Notes(mpsc::UnboundedSender<Note>);

impl Notes {
    pub(super) fn take(&self, note: Note) {
        // Refused only when the generation has ended.
        let _dropped = self.0.send(note);
    }
}

async fn settle(
    channel: &Channel,
    link: &Link,
    mut notes: mpsc::UnboundedReceiver<Note>,
) -> Result<(), LinkError> {
    let mut runs = Runs::default();
    let mut pile = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = link.ended() => return Ok(()),
            taken = notes.recv_many(&mut pile, PILE_MAX) => if taken == 0 { break },
        }
        let frames = runs.take(pile.drain(..));
        let sent = frames.iter().map(|frame| send(channel, *frame));
        within("basic.ack", async { try_join_all(sent).await.map(drop) }).await?;
    }
    within("channel.close", channel.close(200, "OK".into())).await
}

/// By the channel, not by lapin's acker of the delivery: that one answers `Ok(false)` for a channel that
/// has ended, which is easily taken for a success. The channel answers with its error.
async fn send(channel: &Channel, frame: Frame) -> lapin::Result<()> {
    match frame {
        Frame::Ack { tag, multiple } => channel.basic_ack(tag, BasicAckOptions { multiple }).await,
        Frame::GiveBack { tag } => {
            let options = BasicNackOptions {
                multiple: false,
                requeue: true,
            };
            channel.basic_nack(tag, options).await
        }
    }
}
