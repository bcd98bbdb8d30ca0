//! Writes a picture as SVG, alone or in a page.

use super::scale::Point;
use std::fmt::Write;

/// The items of the picture, in drawing order.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: String,
    /// A description for screen readers.
    pub(super) description: String,
    pub(super) items: Vec<Item>,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Group {
        id: String,
        items: Vec<Item>,
    },
    Text {
        style: Style,
        anchor: Anchor,
        at: Point,
        text: String,
    },
    Line {
        class: &'static str,
        from: Point,
        to: Point,
    },
    /// One message. Hovering over it shows `says`.
    Arrow {
        class: &'static str,
        from: Point,
        to: Point,
        has_head: bool,
        says: String,
    },
    /// Several messages.
    Arrows {
        class: &'static str,
        lines: Vec<(Point, Point)>,
    },
    Dot {
        class: &'static str,
        at: Point,
    },
    Area {
        class: &'static str,
        corners: Vec<Point>,
    },
}

/// The appearance of text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) class: &'static str,
    pub(super) size: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Dark on white, each at a contrast of at least 5 to 1; requests and answers differ by more than their colour.
const STYLE: &str = "\
text{font-family:system-ui,'DejaVu Sans',sans-serif;fill:#1f2328}.bold{font-weight:600}.quiet{fill:#57606a}\
.label{paint-order:stroke;stroke:#fff;stroke-width:3px}\
.life{stroke:#1f2328;stroke-width:2}.axis{stroke:#57606a}.mark{stroke:#d8dee4}\
.window{fill:#eef2f6}.done{fill:#1f2328}\
.request,.answer,.fault{fill:none;stroke-width:1.5}\
.request{stroke:#0b57c2}.answer{stroke:#a84300;stroke-dasharray:5 2.5}.fault{stroke:#c4122f;stroke-width:3}\
.requests,.answers{fill:none}.requests{stroke:#0b57c2}.answers{stroke:#a84300}\
.arrow:hover{stroke-width:4}";

/// A head for each kind of arrow, as some viewers do not pass the colour of a line to its marker.
const HEADS: [(&str, &str); 3] = [("request", "#0b57c2"), ("answer", "#a84300"), ("fault", "#c4122f")];

/// Returns the SVG file.
pub(super) fn document(picture: &Picture) -> String {
    let Picture { width, height, title, description, items } = picture;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width} {height:.0}\" role=\"img\" aria-labelledby=\"about what\">\n\
         <title id=\"about\">{}</title>\n<desc id=\"what\">{}</desc>\n<style>{STYLE}</style>\n<defs>\n",
        escaped(title),
        escaped(description)
    );
    for (name, color) in HEADS {
        _ = writeln!(
            out,
            "<marker id=\"head-{name}\" viewBox=\"0 0 9 8\" refX=\"9\" refY=\"4\" markerWidth=\"9\" \
             markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
             <path d=\"M0 0L9 4L0 8Z\" fill=\"{color}\"/></marker>"
        );
    }
    _ = writeln!(out, "</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
    items.iter().for_each(|item| add(&mut out, item));
    out.push_str("</svg>\n");
    out
}

/// Returns an HTML page with the picture.
pub(super) fn page(picture: &Picture) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n<style>\
         body{{margin:0;background:#fff;color:#1f2328;font:16px system-ui,sans-serif}}\
         p{{margin:8px 16px}}input{{width:20em;vertical-align:middle}}\
         #scroll{{overflow-x:auto}}svg{{display:block;width:100%;height:auto}}\
         </style>\n<p><label>magnify <input type=\"range\" min=\"100\" max=\"1000\" value=\"100\" \
         oninput=\"document.querySelector('#scroll svg').style.width = value + '%'\"></label> \
         Point at an arrow to read what it says.</p>\n<div id=\"scroll\">\n{}</div>\n</html>\n",
        escaped(&picture.title),
        document(picture)
    )
}

fn add(out: &mut String, item: &Item) {
    // Writing to a string never fails.
    _ = match item {
        Item::Group { id, items } => {
            _ = writeln!(out, "<g id=\"{}\">", escaped(id));
            items.iter().for_each(|item| add(out, item));
            writeln!(out, "</g>")
        }
        Item::Text { style, anchor, at: (x, y), text } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let (class, size, text) = (style.class, style.size, escaped(text));
            writeln!(
                out,
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\"{anchor}>{text}</text>"
            )
        }
        Item::Line { class, from, to } => {
            writeln!(out, "<path class=\"{class}\" d=\"{}\"/>", line(*from, *to))
        }
        Item::Arrow { class, from, to, has_head, says } => {
            let head = if *has_head { format!(" marker-end=\"url(#head-{class})\"") } else { String::new() };
            writeln!(
                out,
                "<path class=\"arrow {class}\" d=\"{}\"{head}><title>{}</title></path>",
                line(*from, *to),
                escaped(says)
            )
        }
        Item::Arrows { class, lines } => {
            let path: String = lines.iter().map(|(from, to)| line(*from, *to)).collect();
            writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>")
        }
        Item::Dot { class, at: (x, y) } => {
            writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>")
        }
        Item::Area { class, corners } => {
            let points: Vec<_> = corners.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            writeln!(out, "<polygon class=\"{class}\" points=\"{}\"/>", points.join(" "))
        }
    };
}

fn line(from: Point, to: Point) -> String {
    format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1)
}

/// Escapes text for an element or an attribute, and replaces characters that XML cannot contain.
pub(crate) fn escaped(text: &str) -> String {
    let clean = |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c };
    let text: String = text.chars().map(clean).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_is_text() {
        assert_eq!(escaped("R&D <\"\u{1b}\u{0}\u{ffff}>"), "R&amp;D &lt;&quot;\u{fffd}\u{fffd}\u{fffd}&gt;");
        let says = "</title><script>".to_owned();
        let arrow =
            Item::Arrow { class: "request", from: (0.0, 1.0), to: (2.0, 3.04), has_head: false, says };
        let picture = Picture { title: "a < b".into(), items: vec![arrow], ..Picture::default() };
        let file = page(&picture);
        assert!(!file.contains("<script>") && file.matches("<title>a &lt; b</title>").count() == 1, "{file}");
        let expected =
            "<path class=\"arrow request\" d=\"M0.0 1.0L2.0 3.0\"><title>&lt;/title&gt;&lt;script&gt;";
        assert!(file.contains(expected), "{file}");
    }
}
