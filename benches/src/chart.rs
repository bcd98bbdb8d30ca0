//! A picture of measured values: bars in SVG, readable on light and dark backgrounds.

use crate::table::number;
use std::fmt::Write;

/// The content of a picture.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// The heading.
    pub title: String,
    /// Lines of small print below the title.
    pub notes: Vec<String>,
    /// The names of the series of bars; the first one is the darkest.
    pub series: Vec<String>,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// Bars with a common scale.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The work measured.
    pub title: String,
    /// The unit of the numbers.
    pub unit: String,
    /// Whether larger values are better.
    pub is_more_better: bool,
    /// From top to bottom.
    pub rows: Vec<Bars>,
}

/// The bars of one name, one for each series.
#[derive(Debug, Clone)]
pub struct Bars {
    /// The program measured.
    pub name: String,
    /// Determines the colour.
    pub kind: Kind,
    /// The lengths of the bars; a series without one has no bar.
    pub values: Vec<Option<f64>>,
    /// The values that the bars have to reach, or must not exceed.
    pub bounds: Vec<Option<f64>>,
}

impl Bars {
    fn value(&self, series: usize) -> Option<f64> {
        self.values.get(series).copied().flatten().filter(|value| value.is_finite())
    }
}

/// The origin of bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This project.
    Ours,
    /// The same work without a protocol.
    Raw,
    /// Another project.
    Peer,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Ours, Kind::Raw, Kind::Peer];

    fn class(self) -> &'static str {
        match self {
            Kind::Ours => "ours",
            Kind::Raw => "raw",
            Kind::Peer => "peer",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Ours => "this project",
            Kind::Raw => "nothing on top",
            Kind::Peer => "others",
        }
    }
}

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 16.0;
/// The left edge of the bars and the length of the longest: names are to the left, numbers to the right.
const LEFT: f64 = 330.0;
const LONGEST: f64 = 540.0;
const BAR: f64 = 9.0;
const LINE: f64 = 16.0;

/// Medium tones, readable on white and on black; viewers that report a light or dark scheme get a text colour with more
/// contrast.
const STYLE: &str = "\
text{font:11px system-ui,sans-serif;fill:#6e7781}\
.title{font-size:17px;font-weight:600}.panel{font-size:13px;font-weight:600}.name{text-anchor:end}\
.ours{fill:#2f81f7}.raw{fill:#8b949e}.peer{fill:#d4881c}.bound{stroke:#e5484d;stroke-width:2}\
.s1{opacity:.6}.s2{opacity:.4}\
@media(prefers-color-scheme:light){text{fill:#30363d}}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}";

impl Chart {
    /// Returns the picture as an SVG document.
    pub fn svg(&self) -> String {
        let mut page = Page { body: String::new(), y: MARGIN };
        page.heading("title", &self.title, 24.0);
        for note in &self.notes {
            page.heading("note", note, LINE);
        }
        page.legend(&self.series);
        for panel in &self.panels {
            page.panel(panel);
        }
        let height = page.y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\">\n<style>{STYLE}</style>\n{}</svg>\n",
            page.body
        )
    }
}

/// The drawing so far, and its height.
struct Page {
    body: String,
    y: f64,
}

impl Page {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string never fails.
        _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        self.add(format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text)));
    }

    /// Adds a bar of this series.
    fn bar(&mut self, kind: Kind, series: usize, (x, y): (f64, f64), width: f64) {
        let class = kind.class();
        self.add(format_args!(
            "<rect class=\"{class} s{series}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
        ));
    }

    fn mark(&mut self, x: f64, y: f64) {
        let (top, end) = (y - 1.5, y + BAR + 1.5);
        self.add(format_args!(
            "<line class=\"bound\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{end:.1}\"/>"
        ));
    }

    fn heading(&mut self, class: &str, text: &str, height: f64) {
        self.y += height;
        self.text(class, MARGIN, self.y - 4.0, text);
    }

    /// Adds the legend of colours, tones and marks.
    fn legend(&mut self, series: &[String]) {
        self.y += LINE + 6.0;
        let (y, mut x) = (self.y - BAR - 4.0, MARGIN);
        for kind in Kind::ALL {
            self.bar(kind, 0, (x, y), 18.0);
            self.text("note", x + 24.0, self.y - 5.0, kind.name());
            x += 130.0;
        }
        for (i, name) in series.iter().enumerate() {
            self.bar(Kind::Ours, i, (x, y), 18.0);
            self.text("note", x + 24.0, self.y - 5.0, name);
            x += 110.0;
        }
        self.mark(x, y);
        self.text("note", x + 8.0, self.y - 5.0, "target");
    }

    fn panel(&mut self, panel: &Panel) {
        self.y += 14.0;
        let better = if panel.is_more_better { "longer is better" } else { "shorter is better" };
        self.heading("panel", &format!("{} ({}, {better})", panel.title, panel.unit), 18.0);
        let all = panel.rows.iter().flat_map(|row| row.values.iter().chain(&row.bounds));
        let most = all.flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
        // If all values are zero, the bars have no length.
        let scale = if most > 0.0 { LONGEST / most } else { 0.0 };
        // A series without a bar in the whole panel takes no space.
        let has_bars = |series: &usize| panel.rows.iter().any(|row| row.value(*series).is_some());
        let count = panel.rows.iter().map(|row| row.values.len()).max().unwrap_or(0);
        let series: Vec<_> = (0..count).filter(has_bars).collect();
        for row in &panel.rows {
            self.row(row, scale, &series);
        }
    }

    fn row(&mut self, row: &Bars, scale: f64, series: &[usize]) {
        self.y += 5.0;
        let top = self.y;
        let height = (BAR + 2.0) * series.len().max(1) as f64;
        let middle = top + height / 2.0 + 3.0;
        self.text("name", LEFT - 8.0, middle, &row.name);
        if series.iter().all(|&series| row.value(series).is_none()) {
            self.text("note", LEFT + 4.0, middle, "not run");
        }
        for (line, &series) in series.iter().enumerate() {
            let y = top + (BAR + 2.0) * line as f64;
            let Some(value) = row.value(series) else { continue };
            let width = (value * scale).max(0.5);
            self.bar(row.kind, series, (LEFT, y), width);
            let bound = row.bounds.get(series).copied().flatten().filter(|bound| bound.is_finite());
            let mark = bound.map(|bound| LEFT + bound * scale);
            if let Some(x) = mark {
                self.mark(x, y);
            }
            // The number is placed clear of a mark just behind the bar.
            let end = LEFT + width + 5.0;
            let x = match mark {
                Some(mark) if (end - 6.0..end + 34.0).contains(&mark) => mark + 5.0,
                _ => end,
            };
            self.text("note", x, y + BAR, &number(Some(value)));
        }
        self.y = top + height;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(rows: Vec<Bars>) -> Chart {
        let panel = Panel { title: "work".into(), unit: "us".into(), is_more_better: false, rows };
        let series = vec!["one core".into(), "two cores".into()];
        Chart { title: "R&D <1>".into(), notes: vec!["a note".into()], series, panels: vec![panel] }
    }

    fn bars(values: [Option<f64>; 2], bounds: [Option<f64>; 2]) -> Bars {
        Bars { name: "ours".into(), kind: Kind::Ours, values: values.into(), bounds: bounds.into() }
    }

    #[test]
    fn the_longest_bar_or_bound_sets_the_scale() {
        let svg = chart(vec![bars([Some(25.0), Some(50.0)], [None, Some(100.0)])]).svg();
        assert!(svg.contains("class=\"ours s0\" x=\"330.0\" y=\"115.0\" width=\"135.0\""), "{svg}");
        assert!(svg.contains("class=\"ours s1\" x=\"330.0\" y=\"126.0\" width=\"270.0\""), "{svg}");
        assert!(svg.contains("class=\"bound\" x1=\"870.0\" y1=\"124.5\""), "{svg}");
        assert!(svg.contains(">25.0</text>") && svg.contains(">50.0</text>"), "{svg}");
    }

    #[test]
    fn what_did_not_run_is_named() {
        let svg = chart(vec![bars([None, None], [None, Some(1.0)])]).svg();
        assert!(svg.contains(">ours</text>") && svg.contains(">not run</text>"), "{svg}");
    }

    #[test]
    fn texts_are_escaped_and_every_element_is_closed() {
        let svg = chart(vec![bars([Some(f64::NAN), Some(0.0)], [Some(f64::INFINITY), None])]).svg();
        assert!(
            svg.contains(">R&amp;D &lt;1&gt;</text>") && svg.contains("(us, shorter is better)"),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        for line in svg.lines().filter(|line| !line.starts_with("<svg")) {
            let is_closed = ["/>", "</text>", "</style>", "</svg>"].iter().any(|end| line.ends_with(end));
            assert!(is_closed && line.matches('"').count() % 2 == 0, "{line}");
        }
    }
}
