//! A plot with lines, for figures that depend on a size. The axis of the sizes is logarithmic.

use std::fmt::Write;

use super::{figure::number, svg};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 46.0;

/// A line: its name, and its points (size, value).
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// The plot as SVG. The axis of the values begins at 0.
pub(crate) fn line_chart(title: &str, size_name: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points);
    let highest = points().map(|(_, value)| *value);
    let highest = highest.fold(f64::MIN_POSITIVE, f64::max);
    let mut sizes: Vec<f64> = points().map(|(size, _)| *size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let (first, last) = (
        sizes.first().copied().unwrap_or(1.0),
        sizes.last().copied().unwrap_or(1.0),
    );
    let orders = (last / first).ln().max(f64::MIN_POSITIVE);
    let x = |size: f64| LEFT + (size / first).ln() / orders * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM);

    let mut content = svg::text(10.0, 24.0, "start", title);
    let (axis_left, axis_right, axis_bottom) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    let _ = writeln!(
        content,
        "<path d=\"M{axis_left} {TOP}V{axis_bottom}H{axis_right}\" fill=\"none\" stroke=\"black\"/>"
    );
    for value in [0.0, highest / 2.0, highest] {
        content += &svg::text(LEFT - 8.0, y(value) + 5.0, "end", &number(value));
    }
    for size in sizes {
        content += &svg::text(x(size), axis_bottom + 18.0, "middle", &number(size));
    }
    content += &svg::text((LEFT + axis_right) / 2.0, HEIGHT - 8.0, "middle", size_name);
    for (index, (name, points)) in series.iter().enumerate() {
        let line = points
            .iter()
            .map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(*value)));
        let line: Vec<_> = line.collect();
        let colour = svg::colour(index);
        let _ = writeln!(
            content,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for (size, value) in points {
            let (x, y) = (x(*size), y(*value));
            let _ = writeln!(
                content,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "a plot has few lines")]
        let key = TOP + 20.0 * index as f64;
        let _ = writeln!(
            content,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
            axis_right + 16.0,
            key - 10.0
        );
        content += &svg::text(axis_right + 34.0, key + 1.0, "start", name);
    }
    svg::image(WIDTH, HEIGHT, &content)
}

#[cfg(test)]
mod tests {
    use super::line_chart;

    #[test]
    fn a_line_has_its_name_and_its_points() {
        let series = [(String::from("fleet"), vec![(1.0, 5.0), (10.0, 10.0)])];
        let plot = line_chart("T", "jobs", &series);
        assert!(
            plot.contains(">fleet<") && plot.contains("<polyline"),
            "{plot}"
        );
        assert!(!plot.contains("NaN"), "{plot}");
        let one_size = line_chart("T", "jobs", &[(String::from("x"), vec![(4.0, 1.0)])]);
        assert!(!one_size.contains("NaN"), "{one_size}");
    }
}
