//! The parts of an SVG image that all plots use.

/// The colours of the series, in their order. They differ in lightness too.
const COLOURS: [&str; 6] = [
    "#1b6ca8", "#e08e2b", "#4c9f70", "#b23a48", "#7a5c99", "#606c76",
];

/// The colour of the series with this number.
pub(super) fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// A text; `anchor` is `start`, `middle` or `end`.
pub(super) fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = escape(text);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

/// An image of this size, in pixels.
pub(super) fn image(width: f64, height: f64, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{content}</svg>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn characters_of_xml_are_escaped() {
        assert!(text(0.0, 0.0, "start", "a<b & c").contains(">a&lt;b &amp; c<"));
    }
}
