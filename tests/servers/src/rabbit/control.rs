//! Control of a node: commands of `rabbitmqctl`, and memory alarms.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use tokio::{process::Command, time::timeout};

use super::node::Rabbit;
use crate::poll;

/// How long one command of `rabbitmqctl` may take.
const CTL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the node may take to report that an alarm was raised or ended.
const ALARM_TIMEOUT: Duration = Duration::from_secs(60);
/// The memory limit of a node without an alarm, as a share of the machine's memory.
const MEMORY_SHARE: &str = "0.4";
/// How many times a prepared alarm polls for each of its two files. The pause between two polls is 5 ms, so the alarm waits
/// ten minutes for each file.
const ALARM_FILE_POLLS: u32 = 120_000;

/// A prepared memory alarm; see [`Rabbit::prepare_memory_alarm`].
#[must_use = "the node raises no alarm before `raise`"]
pub struct PreparedAlarm<'a> {
    rabbit: &'a Rabbit,
    /// The node raises the alarm when this file exists.
    begin_file: PathBuf,
    /// The node ends the alarm when this file exists.
    end_file: PathBuf,
}

/// A raised memory alarm.
#[must_use = "the alarm stays raised until `end`"]
pub struct RaisedAlarm<'a>(PreparedAlarm<'a>);

impl<'a> PreparedAlarm<'a> {
    /// Raises the alarm and waits until the node reports it.
    ///
    /// # Errors
    /// If the node reports no alarm within a minute. A node drops a prepared alarm after ten minutes.
    pub async fn raise(self) -> anyhow::Result<RaisedAlarm<'a>> {
        fs::write(&self.begin_file, "")?;
        self.rabbit.until_alarmed(true).await?;
        Ok(RaisedAlarm(self))
    }
}

impl RaisedAlarm<'_> {
    /// Ends the alarm and waits until the node reports none.
    ///
    /// # Errors
    /// If the node still reports an alarm after a minute. Ten minutes after [`raise`](PreparedAlarm::raise), the node no longer
    /// reacts to this call.
    pub async fn end(self) -> anyhow::Result<()> {
        fs::write(&self.0.end_file, "")?;
        self.0.rabbit.until_alarmed(false).await
    }
}

impl Rabbit {
    /// Runs `rabbitmqctl` against this node and returns its output. This takes a second or more.
    ///
    /// # Errors
    /// If the command fails, or still runs after two minutes. The error of a failed command contains its output.
    pub async fn ctl(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::from(self.files.command(&self.rabbitmqctl));
        command
            .args(["-q", "-n", &self.files.name])
            .args(args)
            .kill_on_drop(true);
        let output = timeout(CTL_TIMEOUT, command.output()).await;
        let output = output
            .with_context(|| format!("rabbitmqctl {args:?} took longer than {CTL_TIMEOUT:?}"))??;
        if !output.status.success() {
            let printed = [output.stdout, output.stderr].concat();
            bail!(
                "rabbitmqctl {args:?} failed: {}",
                String::from_utf8_lossy(&printed)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Raises a memory alarm, and waits until the node reports it. The node then reads nothing from publishers.
    ///
    /// # Errors
    /// If the node reports no alarm within a minute.
    pub async fn raise_memory_alarm(&self) -> anyhow::Result<()> {
        self.ctl(&["set_vm_memory_high_watermark", "absolute", "1"])
            .await?;
        self.until_alarmed(true).await
    }

    /// Prepares a memory alarm. [`raise`](PreparedAlarm::raise) and [`end`](RaisedAlarm::end) then take effect within some
    /// milliseconds. This is for tests in which `rabbitmqctl` would take too long.
    ///
    /// # Errors
    /// The errors of [`ctl`](Self::ctl).
    pub async fn prepare_memory_alarm(&self) -> anyhow::Result<PreparedAlarm<'_>> {
        let folder = &self.files.folder;
        let (begin_file, end_file) = (folder.join("alarm-begins"), folder.join("alarm-ends"));
        let script = format!(
            "spawn(fun() ->
                 Wait = fun
                     W(_, 0) -> exit(normal);
                     W(File, Polls) -> case file:delete(File) of
                         ok -> ok;
                         _ -> timer:sleep(5), W(File, Polls - 1)
                     end
                 end,
                 Wait({begin_file:?}, {ALARM_FILE_POLLS}),
                 vm_memory_monitor:set_vm_memory_high_watermark({{absolute, 1}}),
                 Wait({end_file:?}, {ALARM_FILE_POLLS}),
                 vm_memory_monitor:set_vm_memory_high_watermark({MEMORY_SHARE})
             end)."
        );
        self.ctl(&["eval", &script]).await?;
        Ok(PreparedAlarm {
            rabbit: self,
            begin_file,
            end_file,
        })
    }

    /// Ends the memory alarm and waits until the node reports none.
    ///
    /// # Errors
    /// If the node still reports an alarm after a minute.
    pub async fn clear_memory_alarm(&self) -> anyhow::Result<()> {
        self.ctl(&["set_vm_memory_high_watermark", MEMORY_SHARE])
            .await?;
        self.until_alarmed(false).await
    }

    async fn until_alarmed(&self, wanted: bool) -> anyhow::Result<()> {
        let reported = poll::until(ALARM_TIMEOUT, || async {
            self.alarmed().await.is_ok_and(|alarmed| alarmed == wanted)
        });
        if reported.await {
            return Ok(());
        }
        bail!(
            "RabbitMQ's alarm was not {} within {ALARM_TIMEOUT:?}; the log ends:\n{}",
            if wanted { "raised" } else { "ended" },
            self.log_tail()
        )
    }

    /// Whether the node reports an alarm.
    ///
    /// # Errors
    /// If the node does not answer.
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
