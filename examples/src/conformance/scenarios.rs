//! All scenarios, by level.

use super::Level::{Checks, Hello, Plain, Session};
use super::script::{Act, At, Bit, Ends, Hold, Restart, Scenario};
use super::value::{Value, array, map};

/// Returns all scenarios, in the order of their levels.
pub fn all() -> Vec<Scenario> {
    [plain(), hello(), session(), checks()].concat()
}

fn plain() -> Vec<Scenario> {
    let new = |name, section, rule| Scenario::new(Plain, name, section, rule);
    let slow = new(
        "byte_by_byte",
        "calls.md#transport",
        "messages follow each other; bytes arrive in pieces of any size",
    );
    vec![
        new("task", "calls.md#methods", "requests are executed in order, and each failure is reported"),
        Scenario { bytewise: true, ..slow },
        new(
            "appended_elements",
            "calls.md#methods",
            "elements appended to an array in a response are ignored",
        )
        .at(At::ResponseTo("get_size"), Act::Rewrite(append_element)),
        Scenario {
            error: "from_the_future",
            ..new("unknown_code", "codes.md#codes", "an unknown code is a generic error")
                .at(At::Fault, Act::Rewrite(|fault| recode(fault, "from_the_future")))
        },
        new("display_gone", "calls.md#closing", "a lost connection is not reported as success")
            .at(At::Request(3), Act::Cut)
            .ends(Ends::DoneOrGivesUp),
    ]
}

fn hello() -> Vec<Scenario> {
    let new = |name, section, rule| Scenario::new(Hello, name, section, rule);
    let waits = "nothing is sent between `hello` and the response to it";
    let calls = "no more than `calls` requests are uncovered";
    let bytes = "no more than `bytes` of requests are uncovered, or one request alone";
    let slow = new(
        "hello_byte_by_byte",
        "calls.md#transport",
        "messages follow each other; bytes arrive in pieces of any size",
    );
    vec![
        Scenario { hold: Hold::Welcome, ..new("greeting", "hello.md#hello", waits) },
        Scenario { bytewise: true, ..slow },
        new("unknown_keys", "README.md#versions-and-compatibility", "unknown keys in maps are ignored")
            .on(0, At::Welcome, Act::Rewrite(|welcome| add_keys(welcome, 3)), usize::MAX)
            .on(0, At::Fault, Act::Rewrite(|fault| add_keys(fault, 2)), usize::MAX),
        new(
            "unknown_notification",
            "README.md#versions-and-compatibility",
            "unknown notifications are ignored",
        )
        .on(0, At::Answer(1), Act::Insert(weather), usize::MAX)
        .on(
            0,
            At::Answer(2),
            Act::Insert(|| array([Value::Int(2), Value::text("tick"), array([])])),
            usize::MAX,
        ),
        Scenario { hold: Hold::Answers, ..new("credit_calls", "hello.md#credit", calls) }.on(
            0,
            At::Welcome,
            Act::Rewrite(|welcome| limit(welcome, "calls", 4)),
            usize::MAX,
        ),
        Scenario { hold: Hold::Answers, ..new("credit_bytes", "hello.md#credit", bytes) }.on(
            0,
            At::Welcome,
            Act::Rewrite(|welcome| limit(welcome, "bytes", 400)),
            usize::MAX,
        ),
        new(
            "goodbye",
            "hello.md#goodbye",
            "after `goodbye` the task is not reported as done, unless a session continues it",
        )
        .at(At::Request(3), Act::Goodbye("shutting_down"))
        .ends(Ends::DoneOrGivesUp),
    ]
}

fn session() -> Vec<Scenario> {
    let new = |name, rule| Scenario::new(Session, name, "sessions.md#resuming", rule);
    let question = "if progress covers a question whose response is missing, the client asks again";
    let taken = "a client that loses its connection with this code connects again with its session";
    let unknown = "if the session was forgotten, requests of unknown outcome are not sent again, and not reported as done";
    let cut = |name, at, act, rule| new(name, rule).on(1, at, act, 1);
    let wraps = "after 4294967295 the msgid continues with 0";
    vec![
        new(
            "session_task",
            "a session begins; `confirm` with the nonce of the welcome is the first message after it",
        ),
        new(
            "hello_lost",
            "the second `hello` does not arrive: the next has a higher `attempt` and what was known before",
        )
        .on(2, At::Hello, Act::Cut, 1)
        .on(1, At::Request(2), Act::CutWhenDone, 1),
        new(
            "resume_lost",
            "the response to the second `hello` is lost: the next has a higher `attempt` and what was known before",
        )
        .on(2, At::Welcome, Act::Cut, 1)
        .on(1, At::Request(2), Act::CutWhenDone, 1),
        new(
            "resume_cut",
            "half of the response to the second `hello` arrives: the next has a higher `attempt` and what was known before",
        )
        .on(2, At::Welcome, Act::CutHalf, 1)
        .on(1, At::Request(2), Act::CutWhenDone, 1),
        cut(
            "cut_confirm",
            At::AfterWelcome,
            Act::Cut,
            "the connection ends before `confirm` arrives: the session continues on another",
        ),
        cut(
            "cut_before_request",
            At::Request(2),
            Act::Cut,
            "the connection ends before the second request arrives: it is retransmitted",
        ),
        cut(
            "cut_in_head",
            At::Request(3),
            Act::CutAfter(2),
            "the connection ends behind 2 bytes of the third request: it is retransmitted whole",
        ),
        cut(
            "cut_in_body",
            At::Request(4),
            Act::CutHalf,
            "the connection ends in the middle of the fourth request: it is retransmitted whole",
        ),
        cut(
            "cut_before_answer",
            At::Request(4),
            Act::CutWhenDone,
            "the fourth request is executed, and nothing reports it before the connection ends: it is not executed again",
        ),
        cut(
            "cut_in_answer",
            At::Answer(2),
            Act::CutHalf,
            "the connection ends in the middle of the display's second message after the welcome: it counts as not received",
        ),
        cut(
            "cut_at_answer",
            At::Answer(2),
            Act::CutAfter(1),
            "the connection ends behind 1 byte of the display's second message after the welcome: it counts as not received",
        ),
        cut(
            "cut_add",
            At::Method(ADD),
            Act::CutWhenDone,
            "the first addition is executed, and nothing reports it before the connection ends: it is not executed again",
        ),
        cut(
            "cut_question",
            At::Method("get_pixel"),
            Act::CutWhenDone,
            "`get_pixel` is executed, and its response is lost with the connection: the client gets it on another",
        ),
        cut(
            "cut_image",
            At::ResponseTo("get_image"),
            Act::CutHalf,
            "the connection ends in the middle of the response to `get_image`: the client gets all of it on another",
        ),
        cut(
            "cut_sync",
            At::Method("sync"),
            Act::CutWhenDone,
            "`sync` is executed, and its response is lost with the connection: the client gets it on another",
        ),
        new(
            "cut_again_and_again",
            "three connections end, each when its second request was executed: no request is executed twice",
        )
        .on(0, At::Request(2), Act::CutWhenDone, 3),
        new("question_lost", question).on(1, At::Method("get_pixel"), Act::CutWhenDone, 1).on(
            2,
            At::ResponseTo("get_pixel"),
            Act::Rewrite(as_progress),
            1,
        ),
        Scenario {
            error: "answer_lost",
            section: "codes.md#codes",
            ..new("answer_lost", "a drawing call whose answer was lost is reported, and not sent again")
                .at(At::Fault, Act::Rewrite(|fault| recode(fault, "answer_lost")))
        },
        new("superseded", taken).on(1, At::Request(3), Act::Goodbye("superseded"), 1),
        new("unconfirmed", taken).on(1, At::AfterWelcome, Act::Goodbye("unconfirmed"), 1),
        new("too_slow", taken).on(1, At::Request(3), Act::Goodbye("too_slow"), 1),
        new(
            "overtaken",
            "a `hello` that was refused as superseded is followed by one with a higher `attempt`",
        )
        .on(1, At::Request(2), Act::CutWhenDone, 1)
        .on(2, At::Hello, Act::Refuse("superseded"), 1),
        new(
            "state_regressed",
            "after `state_regressed` the client gives up, or sends `accepts_loss` on another connection",
        )
        .on(1, At::Request(2), Act::CutWhenDone, 1)
        .on(2, At::Hello, Act::Refuse("state_regressed"), 1)
        .ends(Ends::DoneOrGivesUp),
        Scenario {
            restart: Restart::Forgotten,
            section: "sessions.md#unknown-requests",
            ..cut(
                "expired",
                At::Method("get_pixel"),
                Act::CutWhenDone,
                "the session is forgotten while `get_pixel` has no response: the client asks again in the new session, or gives up",
            )
        }
        .ends(Ends::DoneOrGivesUp),
        Scenario {
            restart: Restart::Forgotten,
            section: "sessions.md#unknown-requests",
            ..cut("expired_add", At::Method(ADD), Act::CutWhenDone, unknown)
        }
        .ends(Ends::GivesUp),
        Scenario {
            restart: Restart::Empty,
            section: "sessions.md#unknown-requests",
            ..cut("state_lost", At::Method(ADD), Act::CutWhenDone, unknown)
        }
        .ends(Ends::GivesUp),
        Scenario { first: Some(0xffff_fffa), section: "hello.md#numbers", ..new("wrap", wraps) },
    ]
}

/// Matches `add_pixel` and `add_pixels`.
const ADD: &str = "add_pixel";

fn checks() -> Vec<Scenario> {
    let new = |name, rule| Scenario::new(Checks, name, "checks.md#corrupted-messages", rule);
    let sent = "after `corrupted` the client resumes its session on another connection";
    let received = "a client uses nothing of a message that does not match its check: it connects again";
    let bare = "a message without a check counts as corrupted";
    vec![
        new("checks_task", "a check precedes each message"),
        new("flip_hello", sent).on(1, At::Hello, Act::Flip(Bit::Check), 1),
        new("flip_request", sent).on(1, At::Request(3), Act::Flip(Bit::Last), 1),
        new("flip_add", sent).on(1, At::Method(ADD), Act::Flip(Bit::Last), 1),
        new("flip_client_check", sent).on(1, At::Request(2), Act::Flip(Bit::Check), 1),
        new("flip_welcome", received).on(1, At::Welcome, Act::Flip(Bit::Last), 1),
        new("flip_answer", received).on(1, At::Answer(2), Act::Flip(Bit::Last), 1),
        new("flip_color", received).on(1, At::ResponseTo("get_pixel"), Act::Flip(Bit::Last), 1),
        new("flip_fault", received).on(1, At::Fault, Act::Flip(Bit::Check), 1),
        new("check_missing", bare).on(1, At::ResponseTo("get_image"), Act::StripCheck, 1),
        new("cut_in_check", "a connection that is lost inside a check is a lost connection").on(
            1,
            At::Request(3),
            Act::CutAfter(7),
            1,
        ),
    ]
}

fn part(message: &mut Value, at: usize) -> Option<&mut Value> {
    if let Value::Array(parts) = message { parts.get_mut(at) } else { None }
}

fn append_element(response: &mut Value) {
    if let Some(Value::Array(size)) = part(response, 3) {
        size.push(map([("depth", Value::Int(32))]));
    }
}

/// Replaces the code of a fault in either form.
fn recode(response: &mut Value, code: &str) {
    match part(response, 2) {
        Some(Value::Array(error)) => {
            if let Some(text) = error.get_mut(1) {
                *text = Value::Str(format!("{code}: this code is not that of the display"));
            }
        }
        Some(error) => {
            *error = map([("code", Value::text(code)), ("message", Value::text("not that of the display"))]);
        }
        None => {}
    }
}

fn add_keys(response: &mut Value, at: usize) {
    if let Some(target) = part(response, at) {
        target.set("zoom", Value::Float(1.5));
        target.set(
            "colours",
            map([("space", Value::text("sRGB")), ("depth", array([Value::Int(8), Value::Nil]))]),
        );
        target.set("opaque", Value::Ext(5, vec![1, 2, 3, 4]));
    }
}

fn limit(welcome: &mut Value, key: &str, most: i128) {
    if let Some(welcome) = part(welcome, 3) {
        welcome.set(key, Value::Int(most));
    }
}

fn weather() -> Value {
    let report = map([("sky", Value::text("clear")), ("wind", Value::Bin(vec![7; 40]))]);
    array([Value::Int(2), Value::text("weather"), array([report, Value::Int(-3)])])
}

/// Replaces a response by progress to the same request.
fn as_progress(response: &mut Value) {
    let number = part(response, 1).cloned().unwrap_or(Value::Nil);
    *response = array([Value::Int(2), Value::text("progress"), array([number])]);
}
