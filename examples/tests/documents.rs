//! Checks that README and the book agree with the code: the program lines that they name, and the values of limits.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::limits;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the text of README and every chapter of the book.
fn documents() -> String {
    let chapters = root().join("docs").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let chapters = chapters.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let paths = chapters.chain([root().join("README.md")]);
    paths.map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>().join("\n")
}

/// Returns the places in programs, as `examples/circle.rs:302:21 draw_pixel`: file, line, column, and the text there.
fn places(documents: &str) -> Vec<(&str, usize, usize, &str)> {
    let mut places = Vec::new();
    for (at, _) in documents.match_indices("examples/") {
        let place = documents[at..].split_whitespace().next().unwrap();
        let [file, line, column] = place.split(':').collect::<Vec<_>>()[..] else { continue };
        let (Ok(line), Ok(column)) = (line.parse(), column.parse()) else { continue };
        let method = documents[at + place.len()..].trim_start();
        let end = method.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
        places.push((file, line, column, &method[..end]));
    }
    places
}

#[test]
fn the_lines_that_the_documents_name_are_those_of_the_calls() {
    let documents = documents();
    let places = places(&documents);
    assert!(places.len() >= 5, "the documents name lines of programs: {places:?}");
    for (file, line, column, method) in places {
        let path = root().join(file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found: Vec<_> = (source.lines().enumerate())
            .filter_map(|(at, text)| Some(format!("{}:{}", at + 1, text.find(&format!("{method}("))? + 1)))
            .collect();
        let named = format!("{line}:{column}");
        assert!(
            found.contains(&named),
            "the documents have {file}:{named} {method}; it is called at {}",
            found.join(", ")
        );
    }
}

#[test]
fn the_limits_that_the_documents_name_are_the_code_s() {
    let grouped = draw_examples::figures::thousands;
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let documents = documents();
    let words = documents.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        format!("a display | {} pixels a side", grouped(limits::SIDE.into())),
        format!("a message | {}", mib(limits::MESSAGE)),
        format!(
            "{} requests or {} unanswered",
            grouped(limits::CREDIT_CALLS.into()),
            mib(limits::CREDIT_BYTES as usize)
        ),
        format!(
            "a server | {} connections and {} of buffers, {} displays",
            grouped(limits::CONNECTIONS as u64),
            mib(limits::MEMORY),
            limits::DISPLAYS
        ),
        format!("receives `busy` after {} s", limits::WAITING_TIME.as_secs()),
        format!(
            "for two minutes after its connection is lost: up to {} clients in {}",
            grouped(limits::SESSIONS as u64),
            mib(limits::SESSION_MEMORY)
        ),
        format!("for up to {} s (see `reconnect`)", limits::RECONNECT.as_secs()),
        format!("gives up a connection after {} s", limits::DEAD_NETWORK.as_secs()),
        format!("The timeout of a call is {} s", draw_client::limits::ANSWER_TIMEOUT.as_secs()),
        format!("TCP port {}", limits::PORT),
    ] {
        assert!(words.contains(&sentence), "no document says {sentence:?}");
    }
    assert_eq!(limits::SESSION_LEASE.as_secs(), 120, "the documents say two minutes");
}
