//! The CPU time of a job, by part of an installation.

use std::collections::BTreeMap;

use crate::installation::{Part, PartUsage};

/// The name of the sum of all parts.
pub(crate) const ALL_PARTS: &str = "all processes";

/// CPU time of each part for one job, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpuTime(BTreeMap<Part, f64>);

impl CpuTime {
    /// Adds what each part has used between two moments, divided by the number of jobs. A part that was started in
    /// between counts from its start.
    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    pub(crate) fn add(&mut self, before: &PartUsage, after: &PartUsage, jobs: f64) {
        for (part, after) in after {
            let before_us = before.get(part).map_or(0, |usage| usage.cpu_us);
            let used_us = after.cpu_us.saturating_sub(before_us);
            *self.0.entry(*part).or_default() += used_us as f64 / jobs;
        }
    }

    /// Each part, and the sum of all. An installation of one part has only the sum.
    pub(crate) fn figures(&self) -> Vec<(String, f64)> {
        let mut figures = Vec::new();
        if self.0.len() > 1 {
            figures.extend(self.0.iter().map(|(part, us)| (part.to_string(), *us)));
        }
        figures.push((String::from(ALL_PARTS), self.0.values().sum()));
        figures
    }

    /// The figures as rows of a table, with their unit.
    pub(crate) fn rows(&self, load: &str) -> Vec<(String, f64)> {
        let figures = self.figures().into_iter();
        figures
            .map(|(part, us)| (format!("CPU time, {load}, us a job: {part}"), us))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL_PARTS, CpuTime, Part, PartUsage};
    use crate::process::usage::Usage;

    fn used(part: Part, cpu_us: u64) -> (Part, Usage) {
        let usage = Usage {
            cpu_us,
            ..Usage::default()
        };
        (part, usage)
    }

    #[test]
    fn the_parts_are_summed_and_a_new_part_counts_from_its_start() {
        let before = PartUsage::from([used(Part::Gateway, 100)]);
        let after = PartUsage::from([used(Part::Gateway, 300), used(Part::Worker, 50)]);
        let mut cpu = CpuTime::default();
        cpu.add(&before, &after, 10.0);
        let expected = [("gateway", 20.0), ("worker", 5.0), (ALL_PARTS, 25.0)];
        assert_eq!(
            cpu.figures(),
            expected.map(|(name, us)| (name.to_owned(), us))
        );
    }
}
