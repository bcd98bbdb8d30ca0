//! The positions of all items in the picture.

use super::labels::{self, Tag, width, wrap};
use super::message::{Flight, Message, Side};
use super::scale::Scale;
use super::svg::{Anchor, Item, Picture, Style};
use super::{Run, Timeline};
use crate::figures::{seconds, thousands};
use std::time::Duration;

const WIDTH: f64 = 1_200.0;
const MARGIN: f64 = 18.0;
/// The time axis extends from `LEFT` to `RIGHT`; names are to the left of it.
const LEFT: f64 = 160.0;
const RIGHT: f64 = WIDTH - MARGIN;

/// On a slide 800 pixels wide the smallest letters are nine pixels high.
const TITLE: Style = Style { class: "bold", size: 23.0 };
const HEADING: Style = Style { class: "bold", size: 17.0 };
const NAME: Style = Style { class: "bold", size: 17.0 };
const CELL: Style = Style { class: "plain", size: 15.0 };
const QUIET: Style = Style { class: "quiet", size: 14.0 };
const LABEL: Style = Style { class: "label", size: 14.0 };
const DONE: Style = Style { class: "label bold", size: 14.0 };

/// The largest number of arrows of one direction that are drawn individually, with their text. More are thinned. This
/// many in both directions and both sections of three runs take 280 kB if each has the longest text kept.
const SINGLE: usize = 80;
/// Thinned arrows are sent at least this many units apart: close enough to see requests and answers side by side.
const COLUMN: f64 = 6.0;

/// The axis extends beyond the end, to leave space for the label of the end.
const BEYOND: f64 = 1.18;

/// The heights of a band of arrows: above the client's line, between the two lines, below the server's.
struct Band {
    above: f64,
    between: f64,
    below: f64,
    has_labels: bool,
}

const SMALL: Band = Band { above: 20.0, between: 36.0, below: 12.0, has_labels: false };
const LARGE: Band = Band { above: 26.0, between: 80.0, below: 30.0, has_labels: true };

/// Returns the picture: all runs on one scale, and if that is too small for the short ones, the beginning magnified.
pub(super) fn picture(timeline: &Timeline) -> Picture {
    let mut page = Page { items: Vec::new(), y: MARGIN };
    page.head(timeline);
    page.table(&timeline.runs);
    let end = timeline.runs.iter().map(|run| run.recorded.end()).max().unwrap_or_default();
    let whole = Scale::new(LEFT, RIGHT, end.mul_f64(1.02));
    let alone = Scale::new(LEFT, RIGHT, end.mul_f64(BEYOND));
    match beginning(&timeline.runs) {
        None => page.section("whole", heading_whole(&timeline.runs), &timeline.runs, alone, &LARGE),
        Some(span) => {
            let magnified = Scale::new(LEFT, RIGHT, span);
            page.window(timeline.runs.len(), whole.x(span));
            page.section("whole", heading_whole(&timeline.runs), &timeline.runs, whole, &SMALL);
            page.y += 6.0;
            let heading = format!("The first {}, magnified", seconds(span));
            page.section("beginning", &heading, &timeline.runs, magnified, &LARGE);
        }
    }
    page.foot(timeline);
    Picture {
        width: WIDTH,
        height: page.y + MARGIN,
        title: timeline.title.clone(),
        description: description(timeline),
        items: page.items,
    }
}

fn heading_whole(runs: &[Run]) -> &'static str {
    if runs.len() > 1 { "The whole, on one scale" } else { "The whole" }
}

/// Returns the part of the time to magnify: that of the short runs, or if none is short, a few calls. `None` if that is
/// most of the time.
fn beginning(runs: &[Run]) -> Option<Duration> {
    let longest = runs.iter().max_by_key(|run| run.recorded.end())?;
    let end = longest.recorded.end();
    let answered = |n: usize| longest.recorded.answers.first.get(n - 1).map(|answer| answer.flight.arrived);
    let short = runs.iter().map(|run| run.recorded.end()).filter(|run| *run <= end / 3).max();
    let mut span = match short {
        Some(short) => short.max(answered(1)?).mul_f64(BEYOND),
        None => answered(3)?.mul_f64(1.02),
    };
    // All messages sent in this time must be known, except those of runs that are over by then.
    let at_first = span;
    for run in runs.iter().filter(|run| run.recorded.end() > at_first) {
        for side in [&run.recorded.requests, &run.recorded.answers] {
            if let Some(last) = side.first.last().filter(|_| !side.is_complete()) {
                span = span.min(last.flight.sent);
            }
        }
    }
    (span < end.mul_f64(0.7)).then_some(span)
}

fn description(timeline: &Timeline) -> String {
    let runs = timeline.runs.iter().map(|run| {
        let (requests, answers) = (&run.recorded.requests, &run.recorded.answers);
        format!(
            "{}: {}; {} requests of {} bytes, {} answers of {} bytes, {} round trips waited, {}.",
            run.name,
            run.calls,
            thousands(requests.count),
            thousands(requests.bytes),
            thousands(answers.count),
            thousands(answers.bytes),
            thousands(run.waits),
            seconds(run.time),
        )
    });
    runs.collect::<Vec<_>>().join(" ")
}

/// The items placed so far, and the height that they take.
struct Page {
    items: Vec<Item>,
    y: f64,
}

impl Page {
    fn text(&mut self, style: Style, anchor: Anchor, at: (f64, f64), text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.items.push(Item::Text { style, anchor, at, text });
        }
    }

    fn paragraph(&mut self, text: &str) {
        for line in wrap(text, QUIET.size, RIGHT - MARGIN) {
            self.y += 19.0;
            self.text(QUIET, Anchor::Start, (MARGIN, self.y), line);
        }
    }

    fn head(&mut self, timeline: &Timeline) {
        self.y += 20.0;
        self.text(TITLE, Anchor::Start, (MARGIN, self.y), &timeline.title);
        for (x, class) in [(RIGHT - 260.0, "request"), (RIGHT - 115.0, "answer")] {
            let (from, to) = ((x, self.y - 6.0), (x + 40.0, self.y - 6.0));
            let says = format!("what {class}s look like");
            self.items.push(Item::Group {
                id: format!("legend-{class}"),
                items: vec![Item::Arrow { class, from, to, has_head: true, says }],
            });
            self.text(CELL, Anchor::Start, (x + 48.0, self.y), class);
        }
        self.y += 4.0;
        self.paragraph(&timeline.place);
    }

    fn table(&mut self, runs: &[Run]) {
        let columns = ["requests", "bytes", "answers", "bytes", "round trips waited", "time"];
        let places = [545.0, 680.0, 785.0, 915.0, 1_060.0, RIGHT];
        self.y += 28.0;
        self.text(QUIET, Anchor::Start, (LEFT, self.y), "calls of the program");
        for (x, column) in places.into_iter().zip(columns) {
            self.text(QUIET, Anchor::End, (x, self.y), column);
        }
        for run in runs {
            self.y += 22.0;
            self.text(NAME, Anchor::Start, (MARGIN, self.y), &run.name);
            self.text(CELL, Anchor::Start, (LEFT, self.y), &run.calls);
            let (requests, answers) = (&run.recorded.requests, &run.recorded.answers);
            let counts = [requests.count, requests.bytes, answers.count, answers.bytes, run.waits];
            let cells = counts.into_iter().map(thousands).chain([seconds(run.time)]);
            for (x, cell) in places.into_iter().zip(cells) {
                self.text(CELL, Anchor::End, (x, self.y), cell);
            }
        }
        self.y += 14.0;
    }

    /// Shades the part of the time that the next section magnifies.
    fn window(&mut self, runs: usize, right: f64) {
        let band = SMALL.above + SMALL.between + SMALL.below;
        let (top, bottom) = (self.y + HEADING_HEIGHT, self.y + HEADING_HEIGHT + band * runs as f64);
        let wide = bottom + AXIS_HEIGHT + 6.0 + HEADING_HEIGHT;
        let corners = vec![(LEFT, top), (right, top), (right, bottom), (RIGHT, wide), (LEFT, wide)];
        self.items.push(Item::Area { class: "window", corners });
    }

    fn section(&mut self, id: &str, heading: &str, runs: &[Run], scale: Scale, band: &Band) {
        self.text(HEADING, Anchor::Start, (MARGIN, self.y + 19.0), heading);
        self.y += HEADING_HEIGHT;
        let bottom = self.y + (band.above + band.between + band.below) * runs.len() as f64;
        for (time, text) in scale.ticks(9) {
            let x = scale.x(time);
            self.items.push(Item::Line { class: "mark", from: (x, self.y), to: (x, bottom + 5.0) });
            // The last label may touch the right end.
            let at = x.min(RIGHT - width(&text, QUIET.size) / 2.0);
            self.text(QUIET, Anchor::Middle, (at, bottom + 20.0), text);
        }
        self.items.push(Item::Line { class: "axis", from: (LEFT, bottom), to: (RIGHT, bottom) });
        for run in runs {
            self.band(id, run, scale, band);
        }
        self.y += AXIS_HEIGHT;
    }

    fn band(&mut self, id: &str, run: &Run, scale: Scale, band: &Band) {
        let client = self.y + band.above;
        let server = client + band.between;
        self.y = server + band.below;
        let outside = std::mem::take(&mut self.items);

        for (y, name) in [(client, "client"), (server, "server")] {
            self.items.push(Item::Line { class: "life", from: (LEFT, y), to: (RIGHT, y) });
            self.text(QUIET, Anchor::End, (LEFT - 8.0, y + 5.0), name);
        }
        let (requests, answers) = (&run.recorded.requests, &run.recorded.answers);
        let sent = self.arrows(requests, "request", scale, (client, server));
        let answered = self.arrows(answers, "answer", scale, (server, client));
        let middle = client + band.between / 2.0;
        if band.has_labels {
            let [some, of] = share(sent.count, requests.count);
            self.text(NAME, Anchor::Start, (MARGIN, middle - 6.0), &run.name);
            self.text(QUIET, Anchor::Start, (MARGIN, middle + 12.0), some);
            self.text(QUIET, Anchor::Start, (MARGIN, middle + 29.0), of);
            self.done(run.recorded.end(), scale, client);
        } else {
            self.text(NAME, Anchor::Start, (MARGIN, middle + 5.0), &run.name);
        }
        match (sent.each, answered.each) {
            (Some(sent), Some(answered)) if band.has_labels => {
                self.labels(&sent, scale, client - 8.0);
                self.labels(&answered, scale, server + 18.0);
            }
            (Some(sent), Some(_)) => self.numbers(&sent, scale, client - 6.0),
            _ => {
                let part = (sent.count + answered.count).div_ceil(sent.drawn + answered.drawn);
                let [sent, answered, part] = [sent.count, answered.count, part].map(thousands);
                let text = format!("{sent} requests, {answered} answers; about 1 in {part} drawn");
                self.text(LABEL, Anchor::Start, (LEFT, client - 6.0), text);
            }
        }
        let items = std::mem::replace(&mut self.items, outside);
        self.items.push(Item::Group { id: format!("{id}-{}", run.name), items });
    }

    /// Draws the messages of one direction that are sent within the scale.
    fn arrows<'a>(
        &mut self,
        side: &'a Side,
        class: &'static str,
        scale: Scale,
        lines: (f64, f64),
    ) -> Drawn<'a> {
        let is_within = |flight: &Flight| flight.sent < scale.span();
        let is_known = side.is_complete() || side.first.last().is_some_and(|last| !is_within(&last.flight));
        let each: Vec<_> = side.first.iter().filter(|message| is_within(&message.flight)).collect();
        if is_known && each.len() <= SINGLE {
            for message in &each {
                let (from, to, has_head) = scale.arrow(message.flight, lines.0, lines.1);
                let class = if message.is_fault { "fault" } else { class };
                self.items.push(Item::Arrow { class, from, to, has_head, says: says(message) });
            }
            let count = each.len() as u64;
            return Drawn { each: Some(each), count, drawn: count };
        }
        let flights: Vec<Flight> = match is_known {
            true => each.iter().map(|message| message.flight).collect(),
            false => side.spread.iter().copied().chain(side.last).filter(is_within).collect(),
        };
        // Half a column apart, so that they do not hide each other.
        let shift = if class == "request" { 0.0 } else { COLUMN / 2.0 };
        let mut column = f64::NEG_INFINITY;
        let mut thinned = Vec::new();
        for flight in &flights {
            let (from, to, _) = scale.arrow(*flight, lines.0, lines.1);
            let here = ((from.0 - shift) / COLUMN).floor();
            if here > column {
                column = here;
                thinned.push((from, to));
            }
        }
        let count = if is_known { flights.len() as u64 } else { side.count };
        let drawn = thinned.len() as u64;
        let class = if class == "request" { "requests" } else { "answers" };
        self.items.push(Item::Arrows { class, lines: thinned });
        Drawn { each: None, count, drawn }
    }

    /// Draws the time of the last answer, below the end of the client's line.
    fn done(&mut self, end: Duration, scale: Scale, y: f64) {
        let (x, text) = (scale.x(end) + 10.0, format!("done: {}", seconds(end)));
        if end == Duration::ZERO || x + 1.15 * width(&text, DONE.size) > RIGHT {
            return;
        }
        self.items.push(Item::Dot { class: "done", at: (scale.x(end), y) });
        self.text(DONE, Anchor::Start, (x, y + 19.0), text);
    }

    fn labels(&mut self, messages: &[&Message], scale: Scale, y: f64) {
        let tags: Vec<_> = (1..).zip(messages).map(|(number, message)| tag(message, number, scale)).collect();
        for (x, text) in labels::row(&tags, LEFT, RIGHT, LABEL.size) {
            self.text(LABEL, Anchor::Start, (x, y), text);
        }
    }

    /// Draws the numbers of calls only.
    fn numbers(&mut self, messages: &[&Message], scale: Scale, y: f64) {
        let texts: Vec<_> = (1..=messages.len()).map(|number| number.to_string()).collect();
        let tags = messages.iter().zip(&texts).enumerate().map(|(i, (message, text))| Tag {
            x: scale.x(message.flight.sent),
            text,
            name: text,
            number: i + 1,
        });
        for (x, text) in labels::row(&tags.collect::<Vec<_>>(), LEFT, RIGHT, LABEL.size) {
            self.text(LABEL, Anchor::Start, (x, y), text);
        }
    }

    fn foot(&mut self, timeline: &Timeline) {
        let relay = match timeline.rtt {
            Duration::ZERO => "latency of its own".into(),
            rtt => format!("the round trip of {rtt:?} that was asked for, and some latency of its own"),
        };
        self.paragraph(&format!(
            "Measured by a relay in the same process: an arrow goes from when the relay took a message from its sender to \
             when it handed it on. It adds {relay}. 0 is when the program made its first call, and its time ends when it \
             had its last answer. Greetings and acknowledgements of the session are not drawn. Calls that succeed need \
             no answer each: one answer stands for all calls before it."
        ));
    }
}

const HEADING_HEIGHT: f64 = 26.0;
const AXIS_HEIGHT: f64 = 28.0;

/// The drawn messages of one direction.
struct Drawn<'a> {
    /// The messages, if each is drawn individually.
    each: Option<Vec<&'a Message>>,
    /// The number of messages that were sent within the scale, and the number of arrows that represent them.
    count: u64,
    drawn: u64,
}

fn tag(message: &Message, number: usize, scale: Scale) -> Tag<'_> {
    Tag { x: scale.x(message.flight.sent), text: &message.text, name: &message.name, number }
}

/// Returns the number of drawn requests and of all requests, in two lines.
fn share(some: u64, all: u64) -> [String; 2] {
    let noun = if all == 1 { "request" } else { "requests" };
    match some == all {
        true => [format!("{} {noun}", thousands(all)), String::new()],
        false => [format!("{} of {}", thousands(some), thousands(all)), noun.into()],
    }
}

fn says(message: &Message) -> String {
    let Message { flight: Flight { sent, arrived }, bytes, text, .. } = message;
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    format!(
        "{text}: sent at {:.3} ms, arrived at {:.3} ms, {} bytes",
        ms(sent),
        ms(arrived),
        thousands(*bytes)
    )
}
