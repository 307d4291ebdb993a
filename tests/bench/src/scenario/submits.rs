//! Submits without workers, to two installations that take turns.
//!
//! The speed of a shared machine changes within seconds. Both installations run at the same time and get small batches in alternating order,
//! so it changes for both.

use super::{
    cpu_time::CpuTime,
    idle::{Settle, until_idle},
};
use crate::{
    installation::{Installation, MODEL},
    load::{closed_loop, job::Sessions},
};

/// How many jobs are submitted to one installation at a time.
pub(crate) const BATCH: usize = 4_000;

/// Submits batches in turns. Returns the CPU time of a submit of each installation, until what follows the submits is done.
///
/// # Errors
/// If a process fails or a submit is refused.
#[expect(clippy::cast_precision_loss, reason = "figures to print")]
pub(crate) async fn measure(
    installations: [&Installation; 2],
    batches: usize,
    batch: usize,
    sessions: Sessions,
) -> anyhow::Result<[CpuTime; 2]> {
    let mut cpu = [CpuTime::default(), CpuTime::default()];
    // A tenth of the batches opens connections and allocates memory.
    let warm_up = batches.div_ceil(10);
    for number in 0..warm_up + batches {
        let order = if number % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            let installation = installations[index];
            let before = installation.usage()?;
            closed_loop::submit(installation.url(), batch, MODEL, sessions).await?;
            until_idle(installation, Settle::Briefly).await?;
            if number >= warm_up {
                let jobs = (batches * batch) as f64;
                cpu[index].add(&before, &installation.usage()?, jobs);
            }
        }
    }
    Ok(cpu)
}
