//! The rules that a client's messages are held to, whatever the scenario does.

use super::Level;
use super::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A rule that the client broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The section of protocol/spec.
    pub section: &'static str,
    /// What the rule demands.
    pub expected: String,
    /// What the client did, with its bytes decoded.
    pub seen: String,
}

/// The client's `hello` of a connection.
#[derive(Debug, Clone, Default)]
struct Hello {
    number: i128,
    attempt: i128,
    next: i128,
    is_session: bool,
    checks: bool,
    confirms: bool,
}

/// One connection, as its messages show it.
#[derive(Debug, Default)]
pub(super) struct Talk {
    hello: Option<Hello>,
    /// Set once the response to `hello` is delivered: whether it welcomes the client.
    greeted: Option<bool>,
    nonce: Option<i128>,
    expects_confirm: bool,
    calls: Option<i128>,
    bytes: Option<i128>,
    /// The number of the last request on this connection, and whether there was one.
    last: i128,
    sent_any: bool,
    first_at_most: i128,
    /// Unanswered requests: numbers and lengths.
    unanswered: BTreeMap<i128, i128>,
    has_sent: bool,
    /// Whether anything was sent after the response to `hello`.
    pub(super) has_continued: bool,
}

impl Talk {
    /// Returns whether the response to `hello` welcomed the client, once it was delivered.
    pub(super) fn greeted(&self) -> Option<bool> {
        self.greeted
    }

    /// Returns the `msgid` of the last `hello`.
    pub(super) fn hello_number(&self) -> Option<i128> {
        self.hello.as_ref().map(|hello| hello.number)
    }

    /// Returns the number of the first request that follows the last `hello`, as that says.
    pub(super) fn starts_at(&self) -> Option<i128> {
        self.hello.as_ref().map(|hello| hello.next)
    }

    /// Returns whether `message` is the response to `hello`.
    pub(super) fn is_greeting(&self, message: &Value) -> bool {
        let is_response = |number| matches!(message.as_array(), Some([Value::Int(1), id, ..]) if id.as_int() == Some(number));
        self.greeted.is_none() && self.hello_number().is_some_and(is_response)
    }
}

/// A request, with its number in the session or on the connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// The number, where requests have one; otherwise the `msgid`.
    pub(super) number: i128,
    /// The method.
    pub(super) method: String,
}

/// What is known of the client over all its connections.
#[derive(Debug, Default)]
pub(super) struct Rules {
    level: Option<Level>,
    session: Option<Value>,
    attempt: i128,
    born: i128,
    incarnation: Option<i128>,
    instance: Option<Value>,
    /// The highest number sent, and the highest of which the client has every reply.
    highest: i128,
    covered: i128,
    sent: BTreeMap<i128, Vec<u8>>,
    additions: BTreeSet<(i128, i128)>,
    pub(super) violations: Vec<Violation>,
    last_message: String,
    /// The client has ended its session.
    has_ended: bool,
}

const HELLO: &str = "hello.md#hello";

impl Rules {
    /// Returns the rules of a client that is judged at `level`.
    pub(super) fn new(level: Level) -> Rules {
        Rules { level: Some(level), last_message: "nothing".to_owned(), ..Rules::default() }
    }

    /// Records that the client broke a rule.
    pub(super) fn broken(
        &mut self,
        section: &'static str,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) {
        let violation = Violation { section, expected: expected.into(), seen: seen.into() };
        if self.violations.len() < 20 && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    /// Checks that a client that has done the task has ended its session.
    pub(super) fn check_end(&mut self) {
        if self.session.is_some() && !self.has_ended {
            let seen = format!("its last message: {}", self.last_message);
            self.broken("sessions.md#the-end", "the client sends `end` when its task is done", seen);
        }
    }

    /// Returns the last message of the client.
    pub(super) fn last_message(&self) -> &str {
        &self.last_message
    }

    /// Handles a message of the client. Returns the request, if it is one other than `hello`.
    pub(super) fn client(
        &mut self,
        talk: &mut Talk,
        message: &Value,
        bytes: &[u8],
        is_checked: bool,
    ) -> Option<Seen> {
        let shown = message.to_string();
        let is_first = !std::mem::replace(&mut talk.has_sent, true);
        self.last_message.clone_from(&shown);
        let level = self.level.unwrap_or(Level::Plain);
        let parts = message.as_array().unwrap_or_default();
        let kind = parts.first().and_then(Value::as_int);
        let well_formed = match (kind, parts) {
            (Some(0), [_, number, method, Value::Array(_)]) => {
                number.as_int().is_some_and(|n| (0..=0xffff_ffff).contains(&n)) && method.as_str().is_some()
            }
            (Some(2), [_, method, Value::Array(_)]) => method.as_str().is_some(),
            _ => false,
        };
        if !well_formed {
            let expected = "a request [0, msgid, method, params], or a notification [2, method, params]";
            self.broken("calls.md#messages", expected, shown);
            return None;
        }
        let is_hello = kind == Some(0) && parts[2].as_str() == Some("hello");
        if is_first && level > Level::Plain && !is_hello {
            self.broken(HELLO, "the first message is `hello`", shown.clone());
        }
        if is_hello {
            self.hello(talk, parts, level, is_first, &shown);
        }
        if talk.hello.as_ref().is_some_and(|hello| hello.checks) && !is_checked {
            self.broken(
                "checks.md#agreement",
                "a `check` precedes each message of a client that has announced checks",
                &*shown,
            );
        }
        if is_hello {
            return None;
        }
        if talk.hello.is_some() && talk.greeted.is_none() {
            let expected = "a client waits for the response to `hello` before it sends anything else";
            self.broken(HELLO, expected, shown);
            return None;
        }
        let is_confirm = kind == Some(2) && parts[1].as_str() == Some("confirm");
        if std::mem::take(&mut talk.expects_confirm) {
            let nonce = talk.nonce.unwrap_or_default();
            let given = parts[parts.len() - 1].as_array().and_then(|params| params.first()?.as_int());
            if !is_confirm || given != talk.nonce {
                let expected = format!("the message after the welcome is `confirm` with its nonce {nonce}");
                self.broken("sessions.md#late-copies", expected, shown);
                return None;
            }
        }
        if kind == Some(2) {
            match parts[1].as_str() {
                Some("ack") => self.ack(parts, &shown),
                Some("end") => self.has_ended = true,
                _ => {}
            }
            return None;
        }
        self.request(talk, parts, bytes, &shown)
    }

    fn hello(&mut self, talk: &mut Talk, parts: &[Value], level: Level, is_first: bool, shown: &str) {
        if !is_first && talk.greeted != Some(false) {
            self.broken(HELLO, "`hello` is the first message, or follows a refused `hello`", shown);
        }
        let map = parts[3].as_array().and_then(|params| params.first()).cloned().unwrap_or(Value::Nil);
        let int = |key: &str, default: i128| map.get(key).and_then(Value::as_int).unwrap_or(default);
        let yes = |key: &str| map.get(key) == Some(&Value::Bool(true));
        if int("version", 0) != 1 {
            self.broken(HELLO, "`hello` has one parameter, a map with `version`: 1", shown);
        }
        if level >= Level::Checks && !yes("checks") {
            self.broken("checks.md#agreement", "`hello` announces `checks: true` at the level checks", shown);
        }
        let session = map.get("session").cloned();
        if level >= Level::Session && session.is_none() {
            self.broken(
                "sessions.md#resuming",
                "`hello` has a `session` of 16 bytes at the level session",
                shown,
            );
        }
        if level >= Level::Session && !yes("confirms") {
            self.broken(
                "sessions.md#late-copies",
                "`hello` says `confirms: true` at the level session",
                shown,
            );
        }
        let is_bin16 = |id: &Value| matches!(id, Value::Bin(id) if id.len() == 16);
        if session.as_ref().is_some_and(|id| !is_bin16(id)) {
            self.broken("sessions.md#resuming", "`session` is a bin of 16 bytes", shown);
        }
        let hello = Hello {
            number: parts[1].as_int().unwrap_or_default(),
            attempt: int("attempt", 1),
            next: int("next", 1),
            is_session: session.is_some(),
            checks: yes("checks"),
            confirms: yes("confirms"),
        };
        if let Some(session) = session {
            if self.session.as_ref() == Some(&session) {
                self.resumes(&map, &hello, shown);
            } else if self.session.is_some() {
                let expected = "a client that reconnects sends the same `session`";
                self.broken("sessions.md#resuming", expected, shown);
            } else {
                (self.highest, self.covered) = (hello.next - 1, int("ack", 0));
            }
            self.session = Some(session);
            self.attempt = self.attempt.max(hello.attempt);
        }
        talk.hello = Some(hello);
        talk.greeted = None;
    }

    /// Checks what a later `hello` of a session says of it.
    fn resumes(&mut self, map: &Value, hello: &Hello, shown: &str) {
        let int = |key: &str| map.get(key).and_then(Value::as_int);
        let mut demand = |holds: bool, expected: String| {
            if !holds {
                self.violations.push(Violation {
                    section: "sessions.md#resuming",
                    expected,
                    seen: shown.to_owned(),
                });
            }
        };
        let before = self.attempt;
        demand(
            hello.attempt > before,
            format!("`attempt` is higher than {before}, that of the `hello` before"),
        );
        let (ack, next) = (int("ack").unwrap_or(0), hello.next);
        let (covered, highest) = (self.covered, self.highest);
        demand(ack <= covered, format!("`ack` is at most {covered}: the client has no reply beyond"));
        let text = format!("`next` is above {highest}, the last request that was sent, and above `ack`");
        demand(next > highest && next > ack, text);
        let born = int("born").unwrap_or(0);
        // A client may take a welcome for the beginning that reached it only in part; not the other way around.
        demand(
            born == self.born,
            format!("`born` is {}, the `attempt` with which the session began", self.born),
        );
        if let Some(incarnation) = self.incarnation {
            let text =
                format!("`incarnation` is {incarnation}, the `nonce` of the welcome that began the session");
            demand(int("incarnation") == Some(incarnation), text);
        }
        if let Some(instance) = &self.instance {
            let text = format!("`instance` is {instance}, as in the last welcome");
            demand(map.get("instance") == Some(instance), text);
        }
    }

    fn ack(&mut self, parts: &[Value], shown: &str) {
        let covered = self.covered;
        let number = parts[2].as_array().and_then(|params| params.first()?.as_int());
        if number.is_none_or(|number| number > covered) {
            let expected =
                format!("`ack` names a request up to {covered}, of which the client has every reply");
            self.broken("sessions.md#resuming", expected, shown);
        }
    }

    fn request(&mut self, talk: &mut Talk, parts: &[Value], bytes: &[u8], shown: &str) -> Option<Seen> {
        let msgid = parts[1].as_int()?;
        let method = parts[2].as_str()?.to_owned();
        let is_numbered = talk.greeted == Some(true);
        if !is_numbered {
            self.adds(parts, &method, shown);
            return Some(Seen { number: msgid, method });
        }
        let expected = talk.last + 1;
        // The number whose low 32 bits are `msgid`, nearest to what is expected.
        let distance = i128::from((msgid as u32).wrapping_sub(expected as u32) as i32);
        let number = expected + distance;
        let is_session = talk.hello.as_ref().is_some_and(|hello| hello.is_session);
        if !talk.sent_any {
            if number > talk.first_at_most || number < 1 || (!is_session && number != 1) {
                let text = format!("the first request has the msgid {}", talk.first_at_most as u32);
                self.broken("hello.md#numbers", text, shown);
            }
        } else if number != expected {
            let text = format!(
                "the next request has the msgid {}: numbers have no gap and no repetition",
                expected as u32
            );
            self.broken("hello.md#numbers", text, shown);
        }
        (talk.last, talk.sent_any) = (number, true);
        self.credit(talk, number, bytes.len() as i128, shown);
        match self.sent.get(&number).filter(|_| is_session) {
            Some(before) if before != bytes => {
                let text = format!("request {number} is retransmitted with the same bytes");
                self.broken("sessions.md#resuming", text, shown);
            }
            Some(_) => {}
            None => self.adds(parts, &method, shown),
        }
        if is_session {
            self.sent.insert(number, bytes.to_vec());
            self.highest = self.highest.max(number);
        }
        Some(Seen { number, method })
    }

    /// Checks that no more is unanswered than the welcome allows.
    fn credit(&mut self, talk: &mut Talk, number: i128, length: i128, shown: &str) {
        let (calls, most) = (talk.calls.unwrap_or(i128::MAX), talk.bytes.unwrap_or(i128::MAX));
        let waiting: i128 = talk.unanswered.values().sum();
        let count = talk.unanswered.len() as i128;
        if count + 1 > calls {
            let text = format!("at most {calls} requests are uncovered, the `calls` of the welcome");
            self.broken("hello.md#credit", text, format!("{} are uncovered with {shown}", count + 1));
        }
        if count > 0 && waiting + length > most {
            let text = format!(
                "at most {most} bytes of requests are uncovered, the `bytes` of the welcome, or one request alone"
            );
            self.broken(
                "hello.md#credit",
                text,
                format!("{} bytes are uncovered with {shown}", waiting + length),
            );
        }
        talk.unanswered.insert(number, length);
    }

    /// Checks that no addition of the task is sent as two requests.
    fn adds(&mut self, parts: &[Value], method: &str, shown: &str) {
        let params = parts[3].as_array().unwrap_or_default();
        let record = |bytes: &[u8]| {
            let number =
                |at: std::ops::Range<usize>| bytes[at].iter().fold(0, |n: i128, &b| n << 8 | i128::from(b));
            (number(0..2), number(4..8))
        };
        let additions: Vec<_> = match (method, params) {
            ("clear", _) => return self.additions.clear(),
            ("add_pixel", [x, _, amount]) => x.as_int().zip(amount.as_int()).into_iter().collect(),
            ("add_pixels", [Value::Bin(run)]) => run.chunks_exact(8).map(record).collect(),
            ("add_pixels", [Value::Array(all)]) => {
                let one = |pixel: &Value| {
                    pixel.as_array()?.first()?.as_int().zip(pixel.as_array()?.get(2)?.as_int())
                };
                all.iter().filter_map(one).collect()
            }
            _ => return,
        };
        for (x, amount) in additions {
            if !self.additions.insert((x, amount)) {
                let expected = "an addition whose outcome is unknown is not sent again as a new request";
                self.broken(
                    "calls.md#adding",
                    expected,
                    format!("{amount} is added at x = {x} twice: {shown}"),
                );
            }
        }
    }

    /// Handles a message that was delivered to the client completely.
    pub(super) fn delivered(&mut self, talk: &mut Talk, message: &Value) {
        let Some(parts) = message.as_array() else { return };
        match parts {
            [Value::Int(1), id, error, result] => {
                let waits = talk.hello.clone().filter(|_| talk.greeted.is_none());
                match waits.filter(|hello| id.as_int() == Some(hello.number)) {
                    Some(hello) if *error == Value::Nil => self.welcome(talk, &hello, result),
                    Some(_) => (talk.greeted, talk.last, talk.first_at_most) = (Some(false), 0, 1),
                    None => {
                        let id = id.as_int().unwrap_or_default();
                        let distance = i128::from((id as u32).wrapping_sub(talk.last as u32) as i32);
                        self.covers(talk, talk.last + distance);
                    }
                }
            }
            [Value::Int(2), Value::Str(name), Value::Array(params)] if name == "progress" => {
                if let Some(number) = params.first().and_then(Value::as_int) {
                    self.covers(talk, number);
                }
            }
            _ => {}
        }
    }

    fn covers(&mut self, talk: &mut Talk, number: i128) {
        talk.unanswered = talk.unanswered.split_off(&(number + 1));
        if talk.hello.as_ref().is_some_and(|hello| hello.is_session) && talk.greeted == Some(true) {
            self.covered = self.covered.max(number);
        }
    }

    fn welcome(&mut self, talk: &mut Talk, hello: &Hello, welcome: &Value) {
        let int = |key: &str| welcome.get(key).and_then(Value::as_int);
        talk.greeted = Some(true);
        (talk.calls, talk.bytes, talk.nonce) = (int("calls"), int("bytes"), int("nonce"));
        talk.expects_confirm = hello.confirms && talk.nonce.is_some();
        let state = welcome.get("session").and_then(Value::as_str);
        talk.last = match state {
            Some("resumed" | "regressed") => int("applied").unwrap_or(0),
            Some(_) => hello.next - 1,
            None => 0,
        };
        talk.first_at_most = talk.last + 1;
        if matches!(state, Some("fresh" | "expired" | "state_lost")) {
            (self.born, self.incarnation) = (hello.attempt, talk.nonce);
            // Requests whose outcome is unknown have no reply any more.
            self.covered = self.covered.max(hello.next - 1);
        }
        if state.is_some() {
            self.instance = welcome.get("instance").cloned();
        }
    }
}
