//! An animated picture of runs that draw the same figure, side by side: each pixel appears at the time when it appeared
//! on the display.

use crate::timeline::escaped;
use draw_client::Color;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// The pause before the animation repeats.
const PAUSE: Duration = Duration::from_millis(2_500);

/// Pixels that appear within this time are shown together. A monitor shows a picture for 17 ms.
const FRAME: Duration = Duration::from_millis(20);

/// Width of a run and of the gap between runs, in units of the picture.
const PANEL: f64 = 280.0;
const MARGIN: f64 = 20.0;

/// The positions of the parts of a run, from the top.
const NAME: f64 = 34.0;
const CALLS: f64 = 56.0;
const FIGURE: f64 = 72.0;
const BAR: f64 = FIGURE + PANEL + 12.0;
const RESULT: f64 = BAR + 34.0;
const NOTE: f64 = RESULT + 30.0;
const HEIGHT: f64 = NOTE + 16.0;

const STYLE: &str = "text{font-family:system-ui,'DejaVu Sans',sans-serif;fill:#1f2328}\
.name{font-size:22px;font-weight:bold}.calls{font-size:14px;fill:#59636e}.result{font-size:19px}\
.note{font-size:14px;fill:#59636e}.figure{shape-rendering:crispEdges}";

/// The content of the picture.
#[derive(Debug, Clone)]
pub struct Animation {
    /// The title, which screen readers read.
    pub title: String,
    /// A sentence below the runs.
    pub note: String,
    /// Width and height of the figure in pixels.
    pub side: u32,
    /// Its colour.
    pub color: Color,
    /// The runs, from the left. They begin together.
    pub runs: Vec<Run>,
}

/// One way to draw the figure.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// The calls that the program makes.
    pub calls: String,
    /// The text shown when it is done.
    pub result: String,
    /// The duration of the program, by its own clock.
    pub time: Duration,
    /// Each pixel, column and row from the top left, and the time when it appeared on the display.
    pub pixels: Vec<(u32, u32, Duration)>,
}

impl Animation {
    /// Returns the picture as the text of an SVG file. It repeats forever. A program that does not support animations
    /// shows the end.
    pub fn svg(&self) -> String {
        let width = self.runs.len() as f64 * (PANEL + MARGIN) + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-labelledby=\"about\">\n<title id=\"about\">{}</title>\n\
             <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#fff\"/>\n",
            escaped(&self.title)
        );
        let whole = self.runs.iter().map(Run::end).max().unwrap_or_default() + PAUSE;
        for (n, run) in self.runs.iter().enumerate() {
            self.add(&mut out, run, MARGIN + n as f64 * (PANEL + MARGIN), whole);
        }
        _ = writeln!(
            out,
            "<text class=\"note\" x=\"{MARGIN}\" y=\"{NOTE}\">{}</text>\n</svg>",
            escaped(&self.note)
        );
        out
    }

    fn add(&self, out: &mut String, run: &Run, left: f64, whole: Duration) {
        let Run { name, calls, result, time, pixels } = run;
        let (name, calls, result) = (escaped(name), escaped(calls), escaped(result));
        let scale = PANEL / f64::from(self.side.max(1));
        let [red, green, blue, _] = self.color.to_bytes();
        _ = writeln!(
            out,
            "<text class=\"name\" x=\"{left}\" y=\"{NAME}\">{name}</text>\n\
             <text class=\"calls\" x=\"{left}\" y=\"{CALLS}\">{calls}</text>\n\
             <rect x=\"{left}\" y=\"{FIGURE}\" width=\"{PANEL}\" height=\"{PANEL}\"/>\n\
             <g class=\"figure\" transform=\"translate({left} {FIGURE}) scale({scale:.4})\" \
             fill=\"#{red:02x}{green:02x}{blue:02x}\">"
        );
        let mut frames: BTreeMap<Duration, String> = BTreeMap::new();
        for &(x, y, shown) in pixels {
            let frame = frame_of(shown);
            _ = write!(frames.entry(frame).or_default(), "M{x} {y}h1v1h-1z");
        }
        for (frame, path) in frames {
            _ = writeln!(out, "<path d=\"{path}\">{}</path>", appears(frame, whole));
        }
        let at = fraction(*time, whole);
        _ = writeln!(
            out,
            "</g>\n<rect x=\"{left}\" y=\"{BAR}\" width=\"{PANEL}\" height=\"8\" fill=\"#d1d9e0\"/>\n\
             <rect x=\"{left}\" y=\"{BAR}\" width=\"{PANEL}\" height=\"8\" fill=\"#0b57c2\">\
             <animate attributeName=\"width\" values=\"0;{PANEL};{PANEL}\" keyTimes=\"0;{at};1\" dur=\"{}ms\" \
             repeatCount=\"indefinite\"/></rect>\n\
             <text class=\"result\" x=\"{left}\" y=\"{RESULT}\">{result}{}</text>",
            whole.as_millis(),
            appears(*time, whole)
        );
    }
}

impl Run {
    /// Returns the time when the last pixel was drawn and the program had its answer.
    fn end(&self) -> Duration {
        self.pixels.iter().map(|&(.., shown)| frame_of(shown)).max().unwrap_or_default().max(self.time)
    }
}

/// Returns the end of the frame in which a pixel of this time is shown.
fn frame_of(shown: Duration) -> Duration {
    let frames = shown.as_micros().div_ceil(FRAME.as_micros()).max(1);
    FRAME.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX))
}

/// Returns an animation that shows its element from this time on.
fn appears(at: Duration, whole: Duration) -> String {
    format!(
        "<animate attributeName=\"opacity\" values=\"0;1\" keyTimes=\"0;{}\" dur=\"{}ms\" calcMode=\"discrete\" \
         repeatCount=\"indefinite\"/>",
        fraction(at, whole),
        whole.as_millis()
    )
}

/// Returns the fraction of `whole` that has passed at this time, strictly between 0 and 1.
fn fraction(at: Duration, whole: Duration) -> String {
    let part = at.as_secs_f64() / whole.as_secs_f64();
    format!("{:.5}", part.clamp(0.00001, 0.99999))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, shown: [u64; 2], time: u64) -> Run {
        let [first, second] = shown.map(Duration::from_millis);
        Run {
            name: name.into(),
            calls: "2 draw_pixel".into(),
            result: "done & over".into(),
            time: Duration::from_millis(time),
            pixels: vec![(0, 0, first), (1, 0, second)],
        }
    }

    fn animation(runs: Vec<Run>) -> Animation {
        Animation { title: "A <race>".into(), note: "note".into(), side: 2, color: Color::RED, runs }
    }

    #[test]
    fn each_pixel_appears_once_when_the_display_had_it() {
        let svg = animation(vec![run("sync", [1_000, 2_000], 2_000), run("batch", [15, 16], 30)]).svg();
        // The whole animation lasts 4.5 s including the pause.
        for path in [
            "<path d=\"M0 0h1v1h-1z\"><animate attributeName=\"opacity\" values=\"0;1\" keyTimes=\"0;0.22222\" dur=\"4500ms\"",
            "<path d=\"M1 0h1v1h-1z\"><animate attributeName=\"opacity\" values=\"0;1\" keyTimes=\"0;0.44444\" dur=\"4500ms\"",
            // Both are within one frame.
            "<path d=\"M0 0h1v1h-1zM1 0h1v1h-1z\"><animate attributeName=\"opacity\" values=\"0;1\" keyTimes=\"0;0.00444\"",
        ] {
            assert_eq!(svg.matches(path).count(), 1, "{path}\n{svg}");
        }
        assert_eq!(svg.matches("<path ").count(), 3);
        assert!(svg.contains("fill=\"#ff0000\""), "{svg}");
        assert!(
            svg.contains("keyTimes=\"0;0.44444;1\"") && svg.contains("keyTimes=\"0;0.00667;1\""),
            "{svg}"
        );
    }

    #[test]
    fn texts_are_text() {
        let svg = animation(vec![run("sync", [0, 0], 0)]).svg();
        assert!(svg.contains("<title id=\"about\">A &lt;race&gt;</title>"), "{svg}");
        assert!(svg.contains("done &amp; over<animate"), "{svg}");
    }

    #[test]
    fn what_takes_no_time_or_is_empty_is_a_picture_too() {
        for runs in [vec![], vec![run("batch", [0, 0], 0)], vec![run("sync", [0, u64::MAX / 2_000], 5)]] {
            let svg = animation(runs).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.ends_with("</svg>\n"), "{svg}");
            assert!(!svg.contains("keyTimes=\"0;0.00000") && !svg.contains("keyTimes=\"0;1."), "{svg}");
        }
    }
}
