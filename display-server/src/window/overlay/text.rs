//! The sentences of the overlay.

use crate::window::layout::Layout;
use draw_protocol::text::count;

/// What the overlay says about a window and its display.
#[derive(Debug, Clone, Copy)]
pub(in crate::window) struct Facts<'a> {
    /// The address that programs connect to.
    pub(in crate::window) address: &'a str,
    pub(in crate::window) clients: u64,
    /// Calls that were executed so far.
    pub(in crate::window) calls: u64,
    /// Frames that were presented so far because something was drawn.
    pub(in crate::window) frames: u64,
    pub(in crate::window) layout: &'a Layout,
    /// Whether a program listens to the keys.
    pub(in crate::window) is_anyone_listening: bool,
}

/// Counters, each as many times a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) calls: f64,
    pub(super) frames: f64,
}

/// Returns what F1 shows. The rates are known a second after it was pressed.
pub(super) fn overlay(facts: &Facts<'_>, rates: Option<Rates>, keys: &[(&str, &str)]) -> Vec<String> {
    let mut lines = vec![facts.address.to_owned(), count(facts.clients, "client")];
    lines.push(match rates {
        Some(Rates { calls, frames }) => format!("{} calls/s, {frames:.1} frames/s", thousands(calls)),
        None => "counting calls and frames".to_owned(),
    });
    lines.push(size(facts.layout));
    lines.push(String::new());
    lines.extend(keys.iter().map(|(key, what)| format!("{key:<10} {what}")));
    lines
}

/// Returns what a window says while nothing was drawn on its display. `key` shows the overlay.
pub(super) fn hint(address: &str, key: &str) -> Vec<String> {
    vec![
        "Nothing has been drawn yet.".to_owned(),
        format!("Programs connect to {address}, for example:"),
        String::new(),
        format!("cargo run --release --example picture -- --display {address}"),
        String::new(),
        format!("{key} shows its clients and other keys."),
    ]
}

/// Returns the size of the display, and how it is shown: `640x480, each pixel 2x2`.
fn size(layout: &Layout) -> String {
    let (canvas, scale) = (layout.canvas, layout.scale);
    if layout.is_shrunk() {
        format!("{canvas}, shrunk to {}x{}", layout.columns, layout.rows)
    } else {
        format!("{canvas}, each pixel {scale}x{scale}")
    }
}

/// Returns a rounded number with a comma before each three digits.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::Size;

    fn layout(width: u32, height: u32) -> Layout {
        Layout::new(Size { width, height }, Size { width: 640, height: 480 })
    }

    fn facts(layout: &Layout) -> Facts<'_> {
        let address = "127.0.0.1:3729";
        Facts { address, clients: 1, calls: 7, frames: 3, layout, is_anyone_listening: false }
    }

    #[test]
    fn the_overlay_says_what_is_connected_how_fast_and_which_keys_there_are() {
        let layout = layout(1300, 1000);
        let rates = Rates { calls: 1_234_567.4, frames: 59.94 };
        let lines = overlay(&facts(&layout), Some(rates), &[("F1", "hides this"), ("Ctrl-Alt-Q", "closes")]);
        assert_eq!(
            lines,
            [
                "127.0.0.1:3729",
                "1 client",
                "1,234,567 calls/s, 59.9 frames/s",
                "640x480, each pixel 2x2",
                "",
                "F1         hides this",
                "Ctrl-Alt-Q closes",
            ]
        );
    }

    #[test]
    fn before_the_first_second_has_passed_no_rate_is_made_up() {
        let layout = layout(500, 400);
        let lines = overlay(&Facts { clients: 0, ..facts(&layout) }, None, &[]);
        let wanted =
            ["127.0.0.1:3729", "0 clients", "counting calls and frames", "640x480, shrunk to 500x375", ""];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn the_hint_has_a_command_with_the_address() {
        let lines = hint("localhost:3729/plots", "F1").join("\n");
        assert!(lines.contains("Programs connect to localhost:3729/plots, for example:"), "{lines}");
        assert!(
            lines.contains("\ncargo run --release --example picture -- --display localhost:3729/plots\n"),
            "{lines}"
        );
        assert!(lines.ends_with("F1 shows its clients and other keys."), "{lines}");
    }

    #[test]
    fn large_numbers_have_commas() {
        for (number, text) in [(0.2, "0"), (999.4, "999"), (1000.0, "1,000"), (12_345_678.0, "12,345,678")] {
            assert_eq!(thousands(number), text);
        }
    }
}
