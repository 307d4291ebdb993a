//! A figure: the values of several runs, of which the median, the lowest and the highest are shown.

use std::fmt;

/// The values of one quantity, one for each run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figure(Vec<f64>);

impl Figure {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.0)
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

impl FromIterator<f64> for Figure {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The median with the lowest and the highest value, or the only value.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0.len() {
            0 => String::from("–"),
            1 => number(self.median()),
            _ => format!(
                "{} ({} to {})",
                number(self.median()),
                number(self.min()),
                number(self.max())
            ),
        };
        f.pad(&text)
    }
}

/// Named figures, in the order in which they were first measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Vec<(String, Figure)>);

impl Figures {
    /// Adds the values of one run.
    pub(crate) fn push(&mut self, values: Vec<(String, f64)>) {
        for (name, value) in values {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, figure)) => figure.push(value),
                None => self.0.push((name, Figure(vec![value]))),
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Figure> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, figure)| figure)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, Figure)> {
        self.0.iter()
    }
}

/// A number with at most three decimals; larger numbers have fewer: 0.123, 12.3, 1,234. A whole number has none.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 100.0 || value.fract() == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let digits = text.find('.').unwrap_or(text.len());
    let mut grouped = String::with_capacity(text.len() + 4);
    for (index, character) in text.char_indices() {
        let remaining = digits.saturating_sub(index);
        let after_digit = grouped.ends_with(|last: char| last.is_ascii_digit());
        if index < digits && remaining % 3 == 0 && after_digit {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

/// The median of these values: of an even number of values, the mean of the middle two. NaN if there are no values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// The percentile by the nearest rank: the lowest value that at least `percent` % of the values do not exceed. NaN if there are
/// no values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank is at least 1 and at most the number of values"
)]
pub(crate) fn percentile(values: &[u32], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted
        .get(rank - 1)
        .map_or(f64::NAN, |value| f64::from(*value))
}

#[cfg(test)]
mod tests {
    use super::{Figure, median, number, percentile};

    #[test]
    fn a_percentile_is_a_value_of_the_nearest_rank() {
        let values: Vec<u32> = (1..=200).collect();
        assert!((percentile(&values, 99.0) - 198.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 50.0) - 100.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 50.0).is_nan());
    }

    #[test]
    fn a_figure_shows_its_median_and_its_range() {
        let figure: Figure = [3.0, 1.0, 12_345.0].into_iter().collect();
        assert_eq!(figure.to_string(), "3 (1 to 12,345)");
        let single: Figure = [0.5].into_iter().collect();
        assert_eq!(single.to_string(), "0.500");
        assert_eq!(Figure::default().to_string(), "–");
    }

    #[test]
    fn numbers_are_grouped_and_rounded() {
        let shown = [0.1234, 12.34, 4.0, 999.6, 1_234_567.8, -4_321.0].map(number);
        assert_eq!(
            shown,
            ["0.123", "12.3", "4", "1,000", "1,234,568", "-4,321"]
        );
    }

    #[test]
    fn the_median_of_an_even_number_of_values_is_the_mean_of_the_middle_two() {
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}
