//! A Redis Cluster of three masters without replicas. With it, tests show that the keys of each command are in one slot
//! and that clients follow redirections.

use std::time::Duration;

use anyhow::bail;

use super::{options::RedisOptions, server::Redis};
use crate::poll;

const MASTERS: u16 = 3;
const SLOTS: u16 = 16_384;
/// How long the masters may take to agree on the cluster's state.
const JOIN_TIMEOUT: Duration = Duration::from_secs(120);

/// Three masters on loopback that share all slots. Dropping the cluster ends them.
pub struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts a cluster with default options and waits until every master knows that all slots are served.
    ///
    /// # Errors
    /// The errors of [`Redis::start`], and if the masters do not agree within two minutes.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&RedisOptions::default()).await
    }

    /// Starts a cluster of servers with these options.
    ///
    /// # Errors
    /// The errors of [`start`](Self::start).
    pub async fn start_with(options: &RedisOptions) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..MASTERS {
            let in_cluster = true;
            nodes.push(Redis::start_as(options.clone(), in_cluster).await?);
        }
        let cluster = Self { nodes };
        cluster.assign_slots().await?;
        cluster.join_masters().await?;
        cluster.until_agreed().await?;
        Ok(cluster)
    }

    async fn assign_slots(&self) -> anyhow::Result<()> {
        for (index, node) in (0..MASTERS).zip(&self.nodes) {
            let (first, last) = slots_of(index);
            node.cli(&[
                "CLUSTER",
                "ADDSLOTSRANGE",
                &first.to_string(),
                &last.to_string(),
            ])
            .await?;
            // With equal epochs, the masters would first have to resolve a conflict.
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])
                .await?;
        }
        Ok(())
    }

    /// Sends the addresses of the other masters to the first master. The masters then exchange the other addresses.
    async fn join_masters(&self) -> anyhow::Result<()> {
        let Some((first, others)) = self.nodes.split_first() else {
            bail!("the cluster has no masters");
        };
        for other in others {
            let (port, bus_port) = (
                other.plain_port().to_string(),
                other.bus_port()?.to_string(),
            );
            first
                .cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port])
                .await?;
        }
        Ok(())
    }

    /// Waits until every master knows the others and all slots, for example after a restart.
    ///
    /// # Errors
    /// If the masters do not agree within two minutes. The error contains each master's view of the cluster and log.
    pub async fn until_agreed(&self) -> anyhow::Result<()> {
        let agreed = poll::until(JOIN_TIMEOUT, || async {
            for node in &self.nodes {
                match node.cli(&["CLUSTER", "INFO"]).await {
                    Ok(info) if knows_the_whole_cluster(&info) => {}
                    _ => return false,
                }
            }
            true
        });
        if agreed.await {
            return Ok(());
        }
        let mut views = Vec::new();
        for node in &self.nodes {
            views.push(format!(
                "{:?}\n{}",
                node.cli(&["CLUSTER", "NODES"]).await,
                node.log_tail()
            ));
        }
        bail!(
            "the masters of the cluster did not agree within {JOIN_TIMEOUT:?}; their views and logs:\n{}",
            views.join("\n")
        )
    }

    /// The masters.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The addresses of all masters.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }
}

/// The first and the last slot of the master with this index.
fn slots_of(index: u16) -> (u16, u16) {
    let share = SLOTS / MASTERS;
    let last = if index + 1 == MASTERS {
        SLOTS - 1
    } else {
        (index + 1) * share - 1
    };
    (index * share, last)
}

/// Whether a master's `CLUSTER INFO` shows all masters and all slots.
fn knows_the_whole_cluster(info: &str) -> bool {
    let wanted_lines = [
        "cluster_state:ok".to_owned(),
        format!("cluster_known_nodes:{MASTERS}"),
        format!("cluster_size:{MASTERS}"),
        format!("cluster_slots_ok:{SLOTS}"),
    ];
    wanted_lines
        .iter()
        .all(|wanted_line| info.lines().any(|line| line.trim_end() == wanted_line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masters_share_all_slots() {
        let mut next = 0;
        for index in 0..MASTERS {
            let (first, last) = slots_of(index);
            assert_eq!(first, next);
            next = last + 1;
        }
        assert_eq!(next, SLOTS);
    }
}
