//! The raw limits of this machine: what Forebay's parts could do if they did nothing else.

mod bare_calls;
mod bare_gateway;
mod quorum_confirms;
mod redis_set;

use crate::{context::Context, report::table::Table};

/// Measures all limits.
///
/// # Errors
/// If a server fails or is not installed.
pub(crate) async fn run(context: &mut Context) -> anyhow::Result<()> {
    let mut table = Table::new("Raw limits of this machine");
    for run in 1..=context.run.run_count() {
        context.announce("raw limits", run, None);
        let mut rows = redis_set::measure(context).await?;
        rows.extend(quorum_confirms::measure(context).await?);
        rows.extend(bare_gateway::measure(context).await?);
        rows.extend(bare_calls::measure(context).await?);
        table.add("alone", rows);
    }
    context.add_table(&table)
}
