//! Compares the tables of the specification with the code, and its links with its files.

#[path = "common/spec.rs"]
mod files;

use draw_protocol::{Code, Method, limits};
use files::{FILES, file, first_cells, prose, section, table};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_table_of_methods_is_the_code_s() {
    let rows: Vec<_> = Method::ALL
        .iter()
        .map(|method| {
            let parameters: Vec<_> =
                method.parameters().iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
            let parameters = match &parameters[..] {
                [] => "none".to_owned(),
                some => format!("`{}`", some.join(", ")),
            };
            let answer = match method {
                Method::GetPixel => "`Color`",
                Method::GetImage => "`Bytes`",
                Method::GetDigest => "bin of 32 bytes",
                Method::GetSize => "`[width, height]`",
                Method::GetMouse => "`[x, y]` or nil",
                _ => "nil",
            };
            // A barrier has an answer, but the answer has no value.
            assert_eq!(answer != "nil", method.has_answer() && !method.is_barrier(), "{method:?}");
            format!("| `{}` | {parameters} | {answer} | {} |", method.name(), method.about().trim())
        })
        .collect();
    assert_eq!(table("calls.md", "## Methods").join("\n"), rows.join("\n"));
    let drawing = Method::ALL.iter().take_while(|method| method.draws()).count();
    assert_eq!(drawing, Method::ALL.iter().filter(|method| method.draws()).count(), "they come first");
    let first =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"][drawing];
    let wanted = format!("The first {first} are **drawing calls**, the others are **questions**.");
    assert!(
        section("calls.md", "## Methods").any(|line| line.starts_with(&wanted)),
        "calls.md does not say: {wanted}"
    );
}

#[test]
fn the_table_of_types_has_every_type_of_a_parameter() {
    let types = first_cells("calls.md", "## Types");
    for (name, kind) in Method::ALL.iter().flat_map(|method| method.parameters()) {
        assert!(types.contains(kind), "{name}: {kind} is not in {types:?}");
    }
}

#[test]
fn the_table_of_fault_codes_is_the_code_s() {
    let starts: Vec<_> =
        Code::ALL.iter().map(|(code, meaning)| format!("| `{code}` | {} |", meaning.trim())).collect();
    let table = table("codes.md", "## Codes");
    let start = |row: &&'static str| row.match_indices(" |").nth(1).map_or(*row, |(end, _)| &row[..end + 2]);
    assert_eq!(table.iter().map(start).collect::<Vec<_>>().join("\n"), starts.join("\n"));
    for row in table {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [code, meaning, connection, does] = cells[..] else { panic!("{row:?} has other columns") };
        // The display's tests compare this column with the server's behavior.
        let closes = meaning.contains(" closes") || code == "`too_large`";
        assert_eq!(connection.contains("closes"), closes, "{row}");
        assert!(does.ends_with('.'), "{row:?} says what a client does");
    }
}

#[test]
fn the_numbers_of_the_rules_for_clients_are_the_code_s() {
    let kib = |bytes: usize| format!("{} KiB", bytes >> 10);
    let credit = prose("hello.md", "## Credit");
    for number in [
        format!("Begin with 1,000 requests or {} uncovered", kib(limits::WINDOW_FIRST)),
        format!("begins with {}", kib(limits::WINDOW_FIRST)),
        format!("not below {}", kib(limits::WINDOW_LEAST)),
        format!("with {} uncovered", kib(limits::WINDOW_LEAST)),
        format!("{} ms the slack", limits::WINDOW_SLACK.as_millis()),
        format!("of it and {} ms", limits::WINDOW_SLACK_DURABLE.as_millis()),
        format!("Every {} s", limits::WINDOW_PERIOD.as_secs()),
    ] {
        assert!(credit.contains(&number), "{number}");
    }
    assert!(prose("checks.md", "## Agreement").contains("fails in this way four times"));
    assert_eq!(limits::GREETINGS, 4);
    let times = prose("hello.md", "## Reconnecting");
    assert!(times.contains(&format!("{} s in total", limits::RECONNECT.as_secs())), "{times}");
    assert!(times.contains(&format!("has lasted {} s", limits::STEADY.as_secs())), "{times}");
    let first = prose("hello.md", "## The first connection");
    for rule in ["four times at most", &format!("give up {} s after", limits::CONNECT_TIMEOUT.as_secs())] {
        assert!(first.contains(rule), "{first}");
    }
    let rows = table("hello.md", "## Time limits").join("\n");
    let (connect, dead) = (limits::CONNECT_TIMEOUT.as_secs(), limits::DEAD_NETWORK.as_secs());
    for figure in [
        format!("| connecting | {connect} s |"),
        format!("after connecting | {connect} s |"),
        format!("| {dead} s (`TCP_USER_TIMEOUT`) |"),
        format!("| {dead} s, and 1 s more for each {} KiB |", limits::MESSAGE_RATE >> 10),
    ] {
        assert!(rows.contains(&figure), "{figure}");
    }
}

/// Returns the anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the headings of a file as anchors.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let headings = text.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    headings.map(anchor).collect()
}

/// Returns the targets of the links in a text.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
    let root = directory.join("../..");
    let mut count = 0;
    let outside = ["README.md", "ARCHITECTURE.md"].map(|name| {
        let text = std::fs::read_to_string(root.join(name)).expect("a document of the repository");
        (name, text)
    });
    let own = FILES.map(|(name, text)| (name, text.to_owned(), ""));
    let others = outside.map(|(name, text)| (name, text, "protocol/spec/"));
    for (name, text, prefix) in own.into_iter().chain(others) {
        for target in targets(&text).filter(|target| !target.starts_with("http")) {
            let Some(target) = target.strip_prefix(prefix) else { continue };
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { name } else { path };
            assert!(directory.join(path).exists(), "{name}: {target}: there is no {path}");
            if !heading.is_empty() {
                assert!(
                    anchors(file(path)).contains(heading),
                    "{name}: {target}: {path} has no such heading"
                );
            }
            count += 1;
        }
    }
    assert!(count > 80, "{count} links");
}

#[test]
fn every_file_of_the_specification_is_in_its_contents() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
    let contents = section("README.md", "## Contents").collect::<Vec<_>>().join("\n");
    let files = std::fs::read_dir(directory).expect("the directory");
    for name in files.map(|file| file.expect("a file").file_name().into_string().expect("a name")) {
        let is_read = FILES.iter().any(|(own, _)| *own == name) || name == "vectors.json";
        assert!(is_read, "{name} is not among the files that the tests read");
        assert!(name == "README.md" || contents.contains(&format!("[{name}]({name})")), "{name}");
    }
}

#[test]
fn the_quickstart_is_short_and_its_bytes_and_calls_are_those_of_the_other_pages() {
    let text = file("quickstart.md");
    assert!(text.lines().count() <= 120, "{} lines", text.lines().count());
    let shown = text.split("```text\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("bytes");
    let blocks = files::blocks();
    let hex = |name: &str| {
        blocks[name].bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    };
    let [request, response] = ["draw_pixel-request", "done-response"].map(hex);
    assert_eq!(shown, format!("{request}\n{response}"));
    for row in text.lines().filter(|line| line.starts_with("| `draw_") || line.starts_with("| `get_")) {
        let name = row.split('`').nth(1).expect("a name");
        assert!(Method::ALL.iter().any(|method| method.name() == name), "{row}");
    }
    assert!(text.contains(&limits::PORT.to_string()));
    let codes: Vec<_> = first_cells("codes.md", "## Codes");
    let errors = text.lines().skip_while(|line| !line.starts_with("**Errors.**"));
    for row in errors.filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap_or_default();
        for code in cell.split('`').skip(1).step_by(2) {
            assert!(codes.contains(&code), "{code}");
        }
    }
}

#[test]
fn the_pseudo_code_of_a_session_has_forty_lines_at_most() {
    let lines = section("sessions.md", "## Pseudo-code").skip_while(|line| *line != "```text").skip(1);
    let lines = lines.take_while(|line| *line != "```").filter(|line| !line.is_empty()).count();
    assert!((20..=40).contains(&lines), "{lines}");
}
