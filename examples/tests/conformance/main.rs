//! Tests that the judge accepts clients that follow the rules, and names the rule that another client breaks.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod raw;

use draw_examples::conformance::script::Ends;
use draw_examples::conformance::{self, Client, Level, Report, Scenario, Verdict, task};
use raw::{Breaks, perform};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The deadline of a client that hangs.
const HANGS: Duration = Duration::from_secs(30);

fn client(breaks: Breaks) -> Client {
    Client::Function(Arc::new(move |setup| perform(setup, breaks)))
}

fn judge(breaks: Breaks, name: &str, timeout: Duration) -> Verdict {
    let scenarios: Vec<_> = conformance::all().into_iter().filter(|scenario| scenario.name == name).collect();
    let report = conformance::judge_all(&client(breaks), &scenarios, 1, timeout, |_| ()).unwrap();
    report.results[0].verdict.clone()
}

/// Checks that a client that breaks a rule fails a scenario by the rule of `section`, and that one that follows it
/// passes.
#[track_caller]
fn fails(breaks: Breaks, name: &str, section: &str, expected: &str) {
    assert_eq!(judge(Breaks::Nothing, name, HANGS), Verdict::Pass);
    let Verdict::Fail(violations) = judge(breaks, name, HANGS) else { panic!("{breaks:?} passes {name}") };
    let is_named = violations.iter().any(|v| v.section == section && v.expected.contains(expected));
    assert!(is_named, "{violations:#?}");
}

#[test]
fn a_client_that_keeps_the_rules_passes_every_scenario_up_to_sessions() {
    let scenarios: Vec<_> =
        conformance::all().into_iter().filter(|scenario| scenario.level <= Level::Session).collect();
    let report = conformance::judge_all(&client(Breaks::Nothing), &scenarios, 4, HANGS, |_| ()).unwrap();
    let bad: Vec<_> = report
        .results
        .iter()
        .filter(|result| result.verdict != Verdict::Pass)
        .map(ToString::to_string)
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert_eq!(report.reached(), Some(Level::Session));
}

#[test]
fn a_client_that_sends_again_as_new_fails_by_adding() {
    fails(Breaks::SendsAgainAsNew, "cut_add", "calls.md#adding", "not sent again");
}

#[test]
fn a_client_that_ignores_credit_fails_by_credit() {
    fails(Breaks::IgnoresCredit, "credit_calls", "hello.md#credit", "at most 4 requests");
    fails(Breaks::IgnoresCredit, "credit_bytes", "hello.md#credit", "at most 400 bytes");
}

#[test]
fn a_client_that_reuses_numbers_fails_by_numbers() {
    fails(Breaks::ReusesNumbers, "greeting", "hello.md#numbers", "msgid 2");
}

#[test]
fn a_client_that_dies_of_unknown_notifications_fails_by_compatibility() {
    fails(
        Breaks::DiesOfNotifications,
        "unknown_notification",
        "README.md#versions-and-compatibility",
        "status 0",
    );
}

#[test]
fn a_client_that_does_not_wait_for_the_welcome_fails_by_hello() {
    fails(Breaks::DoesNotWait, "greeting", "hello.md#hello", "waits for the response");
}

#[test]
fn a_client_that_does_not_confirm_fails_by_late_copies() {
    fails(Breaks::DoesNotConfirm, "session_task", "sessions.md#late-copies", "`confirm` with its nonce");
    fails(Breaks::HidesConfirmation, "session_task", "sessions.md#late-copies", "`confirms: true`");
}

#[test]
fn a_client_that_does_not_end_its_session_fails_by_the_end() {
    fails(Breaks::DoesNotEnd, "session_task", "sessions.md#the-end", "sends `end`");
}

#[test]
fn a_client_that_keeps_its_attempt_fails_by_sessions() {
    fails(Breaks::KeepsAttempt, "cut_add", "sessions.md#resuming", "`attempt` is higher than 1");
}

#[test]
fn a_client_that_retransmits_other_bytes_fails_by_sessions() {
    fails(Breaks::ChangesBytes, "cut_in_body", "sessions.md#resuming", "the same bytes");
}

#[test]
fn a_client_that_acknowledges_too_much_fails_by_sessions() {
    fails(Breaks::AcknowledgesTooMuch, "session_task", "sessions.md#resuming", "`ack` names");
}

#[test]
fn a_client_that_hides_errors_fails_by_faults() {
    fails(Breaks::HidesErrors, "task", "codes.md#faults-and-codes", "error out_of_bounds");
}

#[test]
fn a_client_that_claims_success_without_a_connection_fails() {
    fails(Breaks::ClaimsSuccess, "display_gone", "calls.md#closing", "the client prints");
}

#[test]
fn a_client_whose_numbers_do_not_wrap_fails_by_messages() {
    fails(Breaks::DoesNotWrap, "wrap", "calls.md#messages", "a request [0, msgid");
}

#[test]
fn a_client_that_hangs_is_stopped_and_reported() {
    let Verdict::Fail(violations) = judge(Breaks::Hangs, "cut_add", Duration::from_secs(2)) else {
        panic!("it hangs")
    };
    assert!(violations[0].expected.contains("ends within 2s"), "{violations:#?}");
    assert!(violations[0].seen.contains("its last message: [0, "), "{violations:#?}");
}

#[test]
fn a_program_that_hangs_is_killed() {
    let sleep = Client::Command(["sleep", "3600"].map(Into::into).to_vec());
    let scenarios = &conformance::all()[..1];
    let report = conformance::judge_all(&sleep, scenarios, 1, Duration::from_millis(300), |_| ()).unwrap();
    assert!(
        matches!(&report.results[0].verdict, Verdict::Fail(why) if why[0].seen.contains("never connected; it was killed")),
        "{report}"
    );
}

#[test]
fn a_failed_program_is_reported_with_its_status_and_the_end_of_its_standard_error() {
    let script = "import sys; [print(n, file=sys.stderr) for n in range(100009)]; sys.exit(7)";
    let fails = Client::Command(["python3", "-c", script].map(Into::into).to_vec());
    let report = conformance::judge_all(&fails, &conformance::all()[..1], 1, HANGS, |_| ()).unwrap();
    let text = report.results[0].to_string();
    assert!(text.contains("it never connected; it ended with exit status: 7"), "{text}");
    assert!(
        text.contains("standard error: 100004\n") && !text.contains("standard error: 100003\n"),
        "{text}"
    );
    assert_eq!(report.results[0].errors, "100004\n100005\n100006\n100007\n100008");
    assert!(report.to_string().contains("no level is reached"), "{report}");
}

#[test]
fn the_report_says_that_a_client_may_give_up_where_it_may() {
    let Verdict::Fail(why) = judge(Breaks::ClaimsSuccess, "display_gone", HANGS) else { panic!("it passes") };
    let is_said = why.iter().any(|v| {
        v.expected.ends_with("or ends with another status than 0") && v.seen.contains("ended with success")
    });
    assert!(is_said, "{why:#?}");
}

#[test]
fn a_part_of_a_level_is_not_a_level() {
    let report =
        conformance::judge_all(&client(Breaks::Nothing), &conformance::all()[..1], 1, HANGS, |_| ()).unwrap();
    assert_eq!((report.reached(), report.is_accepted()), (None, true));
    assert_eq!(report.to_string(), "1 passed, 0 failed, 0 not tried");
}

#[test]
fn a_level_is_reached_only_with_every_scenario_of_it() {
    let plain: Vec<_> =
        conformance::all().into_iter().filter(|scenario| scenario.level == Level::Plain).collect();
    let report = conformance::judge_all(&client(Breaks::HidesErrors), &plain, 2, HANGS, |_| ()).unwrap();
    assert_eq!((report.reached(), report.is_accepted()), (None, false));
    let json = report.to_json();
    assert!(
        json.starts_with("{\"reached\": null") && json.contains("\"section\": \"codes.md#faults-and-codes\""),
        "{json}"
    );
    assert_eq!(Report { results: Vec::new() }.reached(), None);
}

#[test]
fn every_scenario_names_a_section_of_the_specification() {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/spec");
    let mut names = Vec::new();
    for Scenario { name, section, .. } in conformance::all() {
        let (page, anchor) = section.split_once('#').unwrap();
        let page = std::fs::read_to_string(spec.join(page))
            .unwrap_or_else(|error| panic!("{name}: {page}: {error}"));
        let is_heading =
            |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-") == anchor;
        assert!(page.lines().any(|line| line.starts_with('#') && is_heading(line)), "{name}: {section}");
        assert!(!names.contains(&name), "{name} is there twice");
        names.push(name);
    }
}

#[test]
fn the_document_has_the_task_and_every_scenario() {
    let document = include_str!("../../../docs/conformance.md");
    assert!(document.contains(task::TEXT), "docs/conformance.md differs from the task in --help");
    for Scenario { name, section, rule, .. } in conformance::all() {
        let row = format!("| `{name}` | {rule} | [{section}](../protocol/spec/{section}) |");
        assert!(document.contains(&row), "docs/conformance.md lacks {row}");
    }
    let sentence = |start: &str| document.split("\n\n").find(|text| text.starts_with(start)).unwrap();
    for (ends, start) in
        [(Ends::DoneOrGivesUp, "A client may give up in "), (Ends::GivesUp, "A client has to give up in ")]
    {
        let named: Vec<_> =
            sentence(start).split(':').next().unwrap().split('`').skip(1).step_by(2).collect();
        let all = conformance::all().into_iter().filter(|scenario| scenario.ends == ends);
        assert_eq!(named, all.map(|scenario| scenario.name).collect::<Vec<_>>());
    }
}
