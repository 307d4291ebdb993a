//! What a test tells its node to do: anything that `rabbitmqctl` can, and alarms.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use tokio::{process::Command, time::timeout};

use super::node::Rabbit;
use crate::patience;

const CTL_LIMIT: Duration = Duration::from_secs(60);
const ALARM_LIMIT: Duration = Duration::from_secs(15);

/// A memory alarm that waits for its moment; see [`Rabbit::arm_memory_alarm`].
#[must_use = "nothing happens before `raise`"]
pub struct ArmedAlarm<'a> {
    rabbit: &'a Rabbit,
    /// The node waits for this file, then for the other.
    begin: PathBuf,
    end: PathBuf,
}

/// A memory alarm that stands, and waits for its end.
#[must_use = "it stands until `end`"]
pub struct RaisedAlarm<'a>(ArmedAlarm<'a>);

impl<'a> ArmedAlarm<'a> {
    /// Raises it and waits until it stands.
    ///
    /// # Errors
    /// When the node cannot be asked, or has no alarm after fifteen seconds: it forgets an alarm ten minutes
    /// after it was armed.
    pub async fn raise(self) -> anyhow::Result<RaisedAlarm<'a>> {
        fs::write(&self.begin, "")?;
        self.rabbit.until_alarmed(true).await?;
        Ok(RaisedAlarm(self))
    }
}

impl RaisedAlarm<'_> {
    /// Ends it and waits until it has ended.
    ///
    /// # Errors
    /// When the node cannot be asked, or still has an alarm after fifteen seconds.
    pub async fn end(self) -> anyhow::Result<()> {
        fs::write(&self.0.end, "")?;
        self.0.rabbit.until_alarmed(false).await
    }
}

impl Rabbit {
    /// Runs `rabbitmqctl` against this node and returns what it printed. Takes a second or more.
    ///
    /// # Errors
    /// When it fails, or still runs after a minute; with what it said.
    pub async fn ctl(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::from(self.files.command(&self.ctl));
        command
            .args(["-q", "-n", &self.files.name])
            .args(args)
            .kill_on_drop(true);
        let output = timeout(CTL_LIMIT, command.output()).await;
        let output = output.with_context(|| format!("rabbitmqctl {args:?} took too long"))??;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("rabbitmqctl {args:?}: {}", String::from_utf8_lossy(&said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Raises a memory alarm, in which the node reads nothing more from those who publish, and waits until
    /// it stands.
    ///
    /// # Errors
    /// When the node cannot be asked, or has no alarm after fifteen seconds.
    pub async fn raise_memory_alarm(&self) -> anyhow::Result<()> {
        self.ctl(&["set_vm_memory_high_watermark", "absolute", "1"])
            .await?;
        self.until_alarmed(true).await
    }

    /// Prepares a memory alarm that then comes and goes within some milliseconds of its
    /// [`raise`](ArmedAlarm::raise) and [`end`](RaisedAlarm::end), for a test that cannot wait for
    /// `rabbitmqctl` at those moments.
    ///
    /// # Errors
    /// As of [`ctl`](Self::ctl).
    pub async fn arm_memory_alarm(&self) -> anyhow::Result<ArmedAlarm<'_>> {
        let folder = &self.files.folder;
        let (begin, end) = (folder.join("alarm-begins"), folder.join("alarm-ends"));
        let wait = format!(
            "spawn(fun() ->
                 Wait = fun
                     W(_, 0) -> exit(normal);
                     W(File, Looks) -> case file:delete(File) of
                         ok -> ok;
                         _ -> timer:sleep(5), W(File, Looks - 1)
                     end
                 end,
                 Wait({begin:?}, 120000),
                 vm_memory_monitor:set_vm_memory_high_watermark({{absolute, 1}}),
                 Wait({end:?}, 120000),
                 vm_memory_monitor:set_vm_memory_high_watermark(0.4)
             end)."
        );
        self.ctl(&["eval", &wait]).await?;
        Ok(ArmedAlarm {
            rabbit: self,
            begin,
            end,
        })
    }

    /// Ends the memory alarm and waits until it has ended.
    ///
    /// # Errors
    /// When the node cannot be asked, or still has an alarm after fifteen seconds.
    pub async fn clear_memory_alarm(&self) -> anyhow::Result<()> {
        self.ctl(&["set_vm_memory_high_watermark", "0.4"]).await?;
        self.until_alarmed(false).await
    }

    async fn until_alarmed(&self, wanted: bool) -> anyhow::Result<()> {
        let settled = patience::until(ALARM_LIMIT, || async {
            self.alarmed().await.is_ok_and(|alarmed| alarmed == wanted)
        });
        if settled.await {
            return Ok(());
        }
        bail!(
            "no change of the alarm within {ALARM_LIMIT:?}; the log ends:\n{}",
            self.log_tail()
        )
    }

    /// Whether the node has raised an alarm.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn alarmed(&self) -> anyhow::Result<bool> {
        match &self.management {
            Some(management) => management.alarmed().await,
            None => Ok(self
                .ctl(&["eval", "rabbit_alarm:get_alarms()."])
                .await?
                .trim()
                != "[]"),
        }
    }
}
