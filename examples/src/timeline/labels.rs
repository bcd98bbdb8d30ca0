//! The placement of text: its maximum width, and rows of labels that do not overlap.

/// The gap between two labels.
const GAP: f64 = 8.0;

/// The largest number of messages that one label may describe, and their largest distance.
const MOST_JOINED: usize = 6;
const NEAR: f64 = 120.0;

/// Messages this close to each other form a bundle of arrows.
const CLOSE: f64 = 7.0;

/// Returns the maximum width of a text in units of its size. The viewer chooses the font: the numbers are those of
/// DejaVu Sans, which is wider than other common fonts.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let ems = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | ' ' | '\'' | '|' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 1.0,
        'a'..='z' | '0'..='9' | '_' => 0.64,
        _ if c.is_ascii() => 0.84,
        // An ideograph is as wide as it is high.
        _ => 1.0,
    };
    text.chars().map(ems).sum::<f64>() * size
}

/// Splits a text into lines of width `most` at most. A word that is too long is broken anywhere.
pub(super) fn wrap(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width(&longer, size) <= most {
            *line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(String::new());
        }
        for c in word.chars() {
            let line = lines.last_mut().expect("there is always one");
            line.push(c);
            if width(line, size) > most {
                line.pop();
                lines.push(c.to_string());
            }
        }
    }
    lines
}

/// A message to be labelled at the place where it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    pub(super) x: f64,
    pub(super) text: &'a str,
    /// A shorter text.
    pub(super) name: &'a str,
    /// The shortest text.
    pub(super) number: usize,
}

/// The detail of labels, which is common to a row: if only some words fit, the row has numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Number,
    Name,
    Text,
}

/// Returns labels for `tags`, which are ordered from left to right, and the start of each.
///
/// A label contains as much as fits before the next message; if its name does not fit, one label may describe a few
/// different messages that are close together. If that does not fit either, the labels are numbers: of a bundle the
/// first and the last.
pub(super) fn row(tags: &[Tag<'_>], left: f64, right: f64, size: f64) -> Vec<(f64, String)> {
    let with = |most| labels(tags, left, right, size, most);
    let is_manner = |labels: &Vec<Label>, detail| {
        let said: usize = labels.iter().filter(|label| label.detail == detail).map(|label| label.tags).sum();
        2 * said >= tags.len()
    };
    let wordy = [Detail::Text, Detail::Name]
        .into_iter()
        .find_map(|detail| Some(with(detail)).filter(|labels| is_manner(labels, detail)));
    let labels = wordy.unwrap_or_else(|| with(Detail::Number));
    labels.into_iter().map(|label| (label.x, label.text)).collect()
}

struct Label {
    x: f64,
    text: String,
    detail: Detail,
    /// The number of messages that it describes.
    tags: usize,
}

fn labels(tags: &[Tag<'_>], left: f64, right: f64, size: f64, most: Detail) -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    let mut free = left;
    let mut rest = tags;
    while let [tag, ..] = rest {
        let label = if tag.x >= free { label(rest, free, right, size, most) } else { None };
        rest = &rest[label.as_ref().map_or(1, |label| label.tags)..];
        if let Some(label) = label {
            free = label.x + width(&label.text, size) + GAP;
            labels.push(label);
        }
    }
    labels
}

/// Returns a label for the first of `tags` or a few of them, to the right of `free`.
fn label<'a>(tags: &[Tag<'a>], free: f64, right: f64, size: f64, most: Detail) -> Option<Label> {
    let x = tags[0].x;
    for count in 1..=tags.len().min(MOST_JOINED) {
        let (these, others) = tags.split_at(count);
        if these[count - 1].x - x > NEAR || these[1..].iter().any(|tag| tag.name == these[0].name) {
            break;
        }
        let limit = others.first().map_or(right, |next| next.x.min(right) - GAP);
        for detail in [Detail::Text, Detail::Name] {
            let part = |tag: &Tag<'a>| if detail == Detail::Text { tag.text } else { tag.name };
            let text = these.iter().map(part).collect::<Vec<_>>().join(", ");
            let width = width(&text, size);
            // At the right end a label may begin before its message, if it reaches it.
            let x = if others.is_empty() { x.min(limit - width) } else { x };
            if detail <= most && x >= free && x + width <= limit {
                return Some(Label { x, text, detail, tags: count });
            }
        }
    }
    let bundle = 1 + tags.windows(2).take_while(|pair| pair[1].x - pair[0].x < CLOSE).count();
    if let ([first, .., last], others) = tags.split_at(bundle) {
        let text = format!("{} to {}", first.number, last.number);
        let limit = others.first().map_or(right, |next| next.x.min(right) - GAP);
        if last.x - x <= NEAR / 2.0 && x + width(&text, size) <= limit {
            return Some(Label { x, text, detail: Detail::Number, tags: bundle });
        }
    }
    let text = tags[0].number.to_string();
    (x + width(&text, size) <= right).then_some(Label { x, text, detail: Detail::Number, tags: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(places: &[f64]) -> Vec<(f64, String)> {
        let tags: Vec<_> = (1..)
            .zip(places)
            .map(|(number, &x)| Tag { x, text: "draw_pixel(318, 237, red)", name: "draw_pixel", number })
            .collect();
        row(&tags, 0.0, 1_000.0, 14.0)
    }

    fn texts(places: &[f64]) -> Vec<String> {
        labels(places).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_label_says_what_there_is_room_for() {
        assert_eq!(texts(&[100.0, 400.0]), ["draw_pixel(318, 237, red)"; 2]);
        assert_eq!(texts(&[100.0, 220.0, 400.0]), ["draw_pixel"; 3]);
        assert_eq!(texts(&[0.0, 30.0, 60.0, 90.0, 120.0]), ["1", "2", "3", "4", "5"]);
        assert_eq!(texts(&[0.0, 10.0, 20.0, 30.0, 40.0]), ["1", "3", "5"]);
        // At the right end it may begin before its message.
        assert_eq!(texts(&[995.0]), ["draw_pixel(318, 237, red)"]);
        assert_eq!(texts(&[700.0, 995.0]), ["draw_pixel(318, 237, red)", "draw_pixel"]);
        assert_eq!(texts(&[]), [""; 0]);
    }

    #[test]
    fn one_label_speaks_for_different_messages_that_are_sent_together() {
        let tag = |x, text, name| Tag { x, text, name, number: 1 };
        let first = [tag(0.0, "draw_pixel(1, 2)", "draw_pixel"), tag(3.0, "31 as one", "31")];
        let both = |last: f64| {
            let tags = [&first[..], &[tag(last, "sync()", "sync")]].concat();
            row(&tags, 0.0, 1_000.0, 14.0).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(both(400.0), ["draw_pixel(1, 2), 31 as one", "sync()"]);
        assert_eq!(both(5.0), ["draw_pixel(1, 2), 31 as one, sync()"]);
        // Repeated names are not written out.
        assert_eq!(texts(&[0.0, 1.0, 2.0, 90.0, 95.0]), ["1 to 3", "4 to 5"]);
    }

    #[test]
    fn no_two_labels_overlap_wherever_the_messages_are() {
        let mut state = 1_u32;
        for count in 1..200 {
            let mut places: Vec<_> = (0..count)
                .map(|_| {
                    // The generator of Numerical Recipes.
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(state >> 16) / 65.536
                })
                .collect();
            places.sort_by(f64::total_cmp);
            let labels = labels(&places);
            for pair in labels.windows(2) {
                assert!(pair[0].0 + width(&pair[0].1, 14.0) < pair[1].0, "{pair:?}");
            }
            let is_inside = |(x, text): &(f64, String)| *x >= 0.0 && x + width(text, 14.0) <= 1_000.0;
            assert!(labels.iter().all(is_inside), "{labels:?}");
        }
    }

    #[test]
    fn lines_are_broken_where_they_have_to_be() {
        assert_eq!(wrap("one two three", 10.0, 50.0), ["one two", "three"]);
        assert_eq!(wrap("", 10.0, 50.0), [""]);
        let host = "x".repeat(300);
        let lines = wrap(&format!("on {host} now"), 10.0, 200.0);
        assert!(lines.iter().all(|line| width(line, 10.0) <= 200.0), "{lines:?}");
        assert_eq!(lines.concat().matches('x').count(), 300);
    }
}
