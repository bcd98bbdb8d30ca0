//! README agrees with the code: the lines of programs that it names, and the numbers of limits.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::limits;
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// A place in a program, as `examples/circle.rs:302:21 draw_pixel`: file, line, column, and what stands there.
fn places() -> Vec<(&'static str, usize, usize, &'static str)> {
    let mut places = Vec::new();
    for (at, _) in README.match_indices("examples/") {
        let place = README[at..].split_whitespace().next().unwrap();
        let [file, line, column] = place.split(':').collect::<Vec<_>>()[..] else { continue };
        let (Ok(line), Ok(column)) = (line.parse(), column.parse()) else { continue };
        let method = README[at + place.len()..].trim_start();
        let end = method.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
        places.push((file, line, column, &method[..end]));
    }
    places
}

#[test]
fn the_lines_that_the_readme_names_are_those_of_the_calls() {
    let places = places();
    assert!(places.len() >= 5, "README names lines of programs: {places:?}");
    for (file, line, column, method) in places {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found: Vec<_> = (source.lines().enumerate())
            .filter_map(|(at, text)| Some(format!("{}:{}", at + 1, text.find(&format!("{method}("))? + 1)))
            .collect();
        let named = format!("{line}:{column}");
        assert!(
            found.contains(&named),
            "README: {file}:{named} {method}; it is called at {}",
            found.join(", ")
        );
    }
}

#[test]
fn the_limits_that_the_readme_names_are_the_code_s() {
    let grouped = draw_examples::figures::thousands;
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let words = README.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        format!("at most {} pixels a side", grouped(limits::SIDE.into())),
        format!("a message {} ", mib(limits::MESSAGE)),
        format!(
            "{} requests or {} unanswered",
            grouped(limits::CREDIT_CALLS.into()),
            mib(limits::CREDIT_BYTES as usize)
        ),
        format!(
            "a server {} connections and {} of buffers",
            grouped(limits::CONNECTIONS as u64),
            mib(limits::MEMORY)
        ),
        format!("for up to {} s (see `reconnect`)", limits::RECONNECT.as_secs()),
        format!("is lost after {} s", limits::DEAD_NETWORK.as_secs()),
        format!("within its timeout of {} s", draw_client::limits::ANSWER_TIMEOUT.as_secs()),
        format!("TCP port {}", limits::PORT),
    ] {
        assert!(words.contains(&sentence), "README does not say {sentence:?}");
    }
    assert_eq!(limits::SESSION_LEASE.as_secs(), 120, "README says two minutes");
}
