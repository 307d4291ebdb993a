//! A plot with horizontal bars, for figures of one unit. A thin line shows the range from the lowest to the highest run.

use std::fmt::Write;

use super::{
    figure::{Figure, number},
    svg,
};

const WIDTH: f64 = 720.0;
const LABEL_WIDTH: f64 = 270.0;
const VALUE_WIDTH: f64 = 80.0;
const BAR_HEIGHT: f64 = 24.0;
const TITLE_HEIGHT: f64 = 40.0;

/// The plot as SVG: a bar for each label and figure.
pub(crate) fn bar_chart(title: &str, bars: &[(String, &Figure)]) -> String {
    let highest = bars.iter().map(|(_, figure)| figure.max());
    let highest = highest.fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / highest;
    let mut content = svg::text(10.0, 24.0, "start", title);
    let mut top = TITLE_HEIGHT;
    for (index, (label, figure)) in bars.iter().enumerate() {
        let (length, middle) = (figure.median() * scale, top + BAR_HEIGHT / 2.0);
        let _ = writeln!(
            content,
            "<rect x=\"{LABEL_WIDTH}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n\
             <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"black\"/>",
            top + 3.0,
            BAR_HEIGHT - 6.0,
            svg::colour(index),
            LABEL_WIDTH + figure.min() * scale,
            LABEL_WIDTH + figure.max() * scale,
        );
        content += &svg::text(LABEL_WIDTH - 8.0, middle + 5.0, "end", label);
        let end = LABEL_WIDTH + figure.max() * scale + 8.0;
        content += &svg::text(end, middle + 5.0, "start", &number(figure.median()));
        top += BAR_HEIGHT;
    }
    svg::image(WIDTH, top + 12.0, &content)
}

#[cfg(test)]
mod tests {
    use super::{Figure, bar_chart};

    #[test]
    fn each_figure_has_a_bar_with_its_label_and_median() {
        let figure: Figure = [10.0, 30.0, 20.0].into_iter().collect();
        let plot = bar_chart("T", &[(String::from("fleet"), &figure)]);
        assert!(plot.contains(">fleet<") && plot.contains(">20<"), "{plot}");
    }
}
