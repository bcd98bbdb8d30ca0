//! Tests of the whole picture: its positions, the readability of its texts, and its size.

use super::labels::width;
use super::layout::picture;
use super::message::{Flight, Message, Recorded};
use super::svg::{Anchor, Item};
use super::{Run, Timeline};
use std::time::Duration;

/// Returns a run with a call each `every` microseconds, whose request and answer take `way` each.
fn run(name: &str, calls: u64, every: u64, way: u64) -> Run {
    let mut recorded = Recorded::default();
    let message = |sent: u64, text: String, name: &str| {
        let [sent, arrived] = [sent, sent + way].map(Duration::from_micros);
        Message { flight: Flight { sent, arrived }, bytes: 25, text, name: name.into(), is_fault: false }
    };
    for n in 0..calls {
        let text = format!("draw_pixel({}, 237, #ffa500ff)", 318 + n);
        recorded.requests.add(message(n * every, text, "draw_pixel"));
        recorded.answers.add(message(n * every + way, format!("progress {n}: done"), "done"));
    }
    let time = recorded.end();
    Run { name: name.into(), calls: format!("{calls} draw_pixel"), waits: calls, time, recorded }
}

fn timeline(runs: Vec<Run>) -> Timeline {
    let place = "Drawn on 127.0.0.1:3729.".into();
    Timeline { title: "A circle".into(), place, rtt: Duration::from_millis(50), runs }
}

/// Returns the three ways of the lecture at a round trip of 50 ms or of 40 us.
fn all(calls: u64, way: u64) -> Timeline {
    timeline(vec![run("sync", calls, 2 * way + 9, way), run("async", 4, 100, way), run("batch", 1, 0, way)])
}

/// Returns all drawn items, without their groups.
fn items(timeline: &Timeline) -> Vec<Item> {
    fn flat(items: Vec<Item>, into: &mut Vec<Item>) {
        for item in items {
            match item {
                Item::Group { items, .. } => flat(items, into),
                item => into.push(item),
            }
        }
    }
    let mut all = Vec::new();
    flat(picture(timeline).items, &mut all);
    all
}

fn group(timeline: &Timeline, name: &str) -> Vec<Item> {
    let groups = picture(timeline).items.into_iter();
    let named = |item| match item {
        Item::Group { id, items } if id == name => Some(items),
        _ => None,
    };
    groups.filter_map(named).next().unwrap_or_else(|| panic!("there is no {name}"))
}

type Place = (f64, f64, f64, f64, String);

/// Returns left, top, right and bottom of every text.
fn boxes(timeline: &Timeline) -> Vec<Place> {
    let texts = items(timeline).into_iter().filter_map(|item| match item {
        Item::Text { style, anchor, at: (x, y), text } => {
            let bold = if style.class.contains("bold") { 1.15 } else { 1.0 };
            let width = width(&text, style.size) * bold;
            let left = match anchor {
                Anchor::Start => x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            // The heights of letters above and below the baseline.
            Some((left, y - 0.8 * style.size, left + width, y + 0.22 * style.size, text))
        }
        _ => None,
    });
    texts.collect()
}

fn assert_readable(timeline: &Timeline, what: &str) {
    let (page, boxes) = (picture(timeline), boxes(timeline));
    for (i, a) in boxes.iter().enumerate() {
        assert!(
            a.0 >= 0.0 && a.1 >= 0.0 && a.2 <= page.width && a.3 <= page.height,
            "{what}: {a:?} sticks out"
        );
        for b in &boxes[i + 1..] {
            let is_apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
            assert!(is_apart, "{what}: {a:?} and {b:?}");
        }
    }
}

#[test]
fn no_two_texts_overlap_and_none_sticks_out() {
    for calls in [1, 2, 3, 4, 9, 32, 79, 80, 81, 500, 7_860] {
        for way in [5, 20, 2_500, 25_000] {
            assert_readable(&all(calls, way), &format!("{calls} calls, {way} us each way"));
            let alone = timeline(vec![run("sync", calls, 2 * way + 9, way)]);
            assert_readable(&alone, &format!("{calls} calls alone, {way} us each way"));
            let burst = timeline(vec![run("async", calls, 1, way)]);
            assert_readable(&burst, &format!("{calls} calls in a burst, {way} us each way"));
        }
    }
    let mut large = all(300, 400_000_000);
    large.title = "A circle of 78,539,816 pixels, message by message".into();
    large.place = format!("Drawn on {}.", "host".repeat(60));
    for run in &mut large.runs {
        run.calls = "78,539,816 draw_pixel, then sync".into();
        run.waits = 78_539_816;
        run.time = Duration::from_secs(359_999);
        for side in [&mut run.recorded.requests, &mut run.recorded.answers] {
            (side.count, side.bytes) = (78_539_816, 2_340_000_000);
        }
    }
    assert_readable(&large, "the largest circle");
    assert_readable(&timeline(Vec::new()), "nothing");
    assert_readable(&timeline(vec![run("sync", 0, 1, 1)]), "no calls");
}

/// Returns the start and the end of each arrow.
fn arrows(items: Vec<Item>, of: &str) -> Vec<((f64, f64), (f64, f64))> {
    let arrow = |item| match item {
        Item::Arrow { class, from, to, .. } if class == of => Some((from, to)),
        _ => None,
    };
    items.into_iter().filter_map(arrow).collect()
}

#[test]
fn every_one_of_few_messages_is_an_arrow_at_its_time() {
    let timeline = all(32, 25_000);
    let requests = arrows(group(&timeline, "whole-sync"), "request");
    let answers = arrows(group(&timeline, "whole-sync"), "answer");
    assert_eq!((requests.len(), answers.len()), (32, 32));
    // From the client's line, which is at the top, down and right to the server's, and back from there.
    for (request, answer) in requests.iter().zip(&answers) {
        assert!(request.0.0 < request.1.0 && request.0.1 < request.1.1);
        assert_eq!(request.1, answer.0);
        assert!(answer.0.0 < answer.1.0 && answer.1.1 == request.0.1);
    }
    let x = |n: usize| requests[n].0.0;
    assert_eq!(x(0), 160.0);
    // Calls follow each other after 50.009 ms; the axis ends 2 % after the end, at 1,182.
    let expected = 160.0 + 1_022.0 * 31.0 * 50.009 / ((31.0 * 50.009 + 50.0) * 1.02);
    assert!((x(31) - expected).abs() < 0.01, "{} {expected}", x(31));
    // All runs have the same scale at the beginning, so the same time has the same length.
    let first = |name: &str| arrows(group(&timeline, name), "request")[0];
    assert_eq!(first("beginning-sync").1.0, first("beginning-batch").1.0);
    assert_eq!(arrows(group(&timeline, "beginning-async"), "request").len(), 4);
}

#[test]
fn many_messages_are_thinned_and_counted() {
    let timeline = all(7_860, 25_000);
    let sync = group(&timeline, "whole-sync");
    assert!(arrows(sync.clone(), "request").is_empty());
    let lines = sync.iter().filter_map(|item| match item {
        Item::Arrows { lines, .. } => Some(lines.len()),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    assert!(lines.len() == 2 && lines.iter().all(|&lines| (150..=171).contains(&lines)), "{lines:?}");
    let says = |text: &str| boxes(&timeline).iter().any(|shown| shown.4.starts_with(text));
    assert!(says("7,860 requests, 7,860 answers; about 1 in 4"));
    assert!(says("The first 59.4 ms, magnified") && says("2 of 7,860"));
    assert!(says("draw_pixel(318, 237, #ffa500ff)") && says("done: 50.0 ms"));
}

#[test]
fn what_is_short_is_shown_once_and_as_a_whole() {
    let timeline = timeline(vec![run("batch", 1, 0, 25_000)]);
    assert_eq!(arrows(group(&timeline, "whole-batch"), "request").len(), 1);
    let says = |text: &str| boxes(&timeline).iter().any(|shown| shown.4.contains(text));
    assert!(says("The whole") && says("1 request") && says("done: 50.0 ms") && !says("magnified"));
}

#[test]
fn a_fault_looks_like_one() {
    let mut failed = run("sync", 1, 0, 10);
    failed.recorded.answers.first[0].is_fault = true;
    assert_eq!(arrows(group(&timeline(vec![failed]), "whole-sync"), "fault").len(), 1);
}

#[test]
fn the_file_is_small_however_much_it_shows() {
    let most = 300_000;
    // The largest number of arrows drawn individually, all in both sections except for the last, and all with the
    // longest text.
    let mut worst = timeline(vec![run("sync", 80, 90, 9), run("async", 80, 26, 9), run("batch", 80, 26, 9)]);
    for run in &mut worst.runs {
        for side in [&mut run.recorded.requests, &mut run.recorded.answers] {
            side.first.iter_mut().for_each(|message| message.text = "x".repeat(100));
        }
    }
    let count = worst.svg().matches("<path class=\"arrow ").count();
    assert!(count > 800 && worst.svg().len() < most, "{count} arrows: {} bytes", worst.svg().len());
    for calls in [32, 80, 81, 500, 7_860, 1_000_000] {
        let many = ["sync", "async", "batch"].map(|name| run(name, calls, 100, 40));
        for timeline in [timeline(many.to_vec()), all(calls, 40), timeline(vec![run("async", calls, 1, 900)])]
        {
            let (svg, html) = (timeline.svg(), timeline.html());
            assert!(svg.len() < most && html.len() < most, "{calls} calls: {} bytes", svg.len());
            assert!(html.contains(&svg) && !svg.contains("NaN") && !svg.contains("inf"));
            assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
            assert!(!html.contains("href") && !html.contains("src="), "it needs no other file");
        }
    }
}
