//! Plays a scenario: stands between a client and a real display, and changes what passes as the script says.
//!
//! One thread holds all state. Two threads for each connection read its sockets and send what they read to it.

use super::host::Host;
use super::rules::{Rules, Talk};
use super::script::{Act, At, Bit, Hold, Hook, Restart, Scenario};
use super::value::{Value, array, map};
use display_server::Display;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes of a message that the judge decodes. Those of the task have less than a kilobyte.
const MESSAGE: usize = 1 << 20;

/// How long a client has been quiet before what is held back is delivered. A client that keeps the rules passes at any value.
const QUIET: Duration = Duration::from_millis(120);

/// How often messages are held back. A client that waits for each acknowledgement would otherwise take half a minute.
const HELD: usize = 20;

/// How long a client may leave its socket full. It has to read while it writes.
const WRITE: Duration = Duration::from_secs(5);

/// How many connections a client may open in a scenario.
const CONNECTIONS: usize = 100;

/// The codes that the display sends only if the client has made a mistake.
const MISTAKES: [(&str, &str); 9] = [
    ("malformed", "calls.md#messages"),
    ("too_large", "limits.md#limits"),
    ("too_many_errors", "limits.md#limits"),
    ("invalid_argument", "calls.md#methods"),
    ("unknown_method", "calls.md#methods"),
    ("stale", "sessions.md#resuming"),
    ("superseded", "sessions.md#resuming"),
    ("unconfirmed", "sessions.md#late-copies"),
    ("corrupted", "checks.md#agreement"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Display,
}

struct Event {
    connection: usize,
    side: Side,
    /// Empty at the end.
    bytes: Vec<u8>,
}

/// A message with the check in front of it, if there is one.
struct Unit {
    bytes: Vec<u8>,
    message: Value,
    /// The length of the check.
    check: usize,
}

struct Connection {
    client: TcpStream,
    display: TcpStream,
    arrived: [Vec<u8>; 2],
    is_open: [bool; 2],
    talk: Talk,
    /// Nothing passes any more.
    is_cut: bool,
    /// The request after whose execution the connection is cut.
    cut_when: Option<i128>,
    /// A message to the client was altered: what follows it does not count as delivered.
    is_poisoned: bool,
    /// A message of the client was altered: the display says so.
    is_altered: bool,
    requests: usize,
    answers: usize,
    is_checked: bool,
    held: VecDeque<Unit>,
    /// How often messages were held back.
    holds: usize,
    last_heard: Instant,
}

/// A scenario that is played.
pub(super) struct Judge<'a> {
    scenario: &'a Scenario,
    pub(super) rules: Rules,
    /// How often each hook has acted.
    pub(super) acted: Vec<usize>,
    listener: TcpListener,
    displays: [SocketAddr; 2],
    connections: Vec<Connection>,
    /// The method of the last request with a `msgid`.
    asked: HashMap<u32, String>,
    sender: SyncSender<Event>,
    events: Receiver<Event>,
    /// The number at which the session began.
    pub(super) began_at: Option<i128>,
}

impl<'a> Judge<'a> {
    /// Starts listening for the client of `scenario`, in front of `display`.
    pub(super) fn new(scenario: &'a Scenario, host: &Host, display: &Display) -> Result<Judge<'a>, String> {
        let first = host.serve(display.clone())?;
        let second = match scenario.restart {
            Restart::No => first,
            Restart::Forgotten => host.serve(display.clone())?,
            Restart::Empty => host.serve(super::host::display()?)?,
        };
        let listening = || {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            std::io::Result::Ok(listener)
        };
        let listener = listening().map_err(|error| format!("cannot listen on 127.0.0.1: {error}"))?;
        let (sender, events) = sync_channel(64);
        Ok(Judge {
            scenario,
            rules: Rules::new(scenario.level),
            acted: vec![0; scenario.hooks.len()],
            listener,
            displays: [first, second],
            connections: Vec::new(),
            asked: HashMap::new(),
            sender,
            events,
            began_at: None,
        })
    }

    /// Returns where the client connects to.
    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        self.listener.local_addr().map_err(|error| format!("the listener has no address: {error}"))
    }

    /// Returns whether the client has connected at all.
    pub(super) fn has_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Returns whether the client has connected, and no connection of it is open.
    pub(super) fn is_idle(&self) -> bool {
        !self.connections.is_empty() && self.connections.iter().all(|connection| !connection.is_open[0])
    }

    /// Does what is due, for a few milliseconds.
    pub(super) fn turn(&mut self) {
        match self.listener.accept() {
            Ok((client, _)) => {
                if let Err(error) = self.accept(client) {
                    self.rules.broken(
                        "calls.md#transport",
                        "the client connects",
                        format!("the judge cannot serve it: {error}"),
                    );
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {}
        }
        if let Ok(event) = self.events.recv_timeout(Duration::from_millis(2)) {
            self.handle(event);
        }
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.held.is_empty() || connection.last_heard.elapsed() < QUIET {
                continue;
            }
            connection.holds += 1;
            for unit in std::mem::take(&mut connection.held) {
                self.deliver(index, unit);
            }
            self.connections[index].last_heard = Instant::now();
        }
    }

    /// Forwards what is still under way, and waits until the displays have executed it.
    pub(super) fn finish(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(3);
        let client_deadline = Instant::now() + Duration::from_millis(500);
        loop {
            let is_over = |open: &[bool; 2]| !open[1] && (!open[0] || Instant::now() > client_deadline);
            if self.connections.iter().all(|connection| is_over(&connection.is_open))
                || Instant::now() > deadline
            {
                return;
            }
            self.turn();
            if Instant::now() > client_deadline {
                for connection in &self.connections {
                    _ = connection.display.shutdown(Shutdown::Write);
                }
            }
        }
    }

    fn accept(&mut self, client: TcpStream) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        if self.connections.len() >= CONNECTIONS {
            let expected = format!("a client opens at most {CONNECTIONS} connections in a scenario");
            self.rules.broken("calls.md#closing", expected, "it opened another");
            return Ok(());
        }
        let index = self.connections.len();
        let display = TcpStream::connect(self.displays[usize::from(index > 0)])?;
        for stream in [&client, &display] {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(WRITE))?;
        }
        for (side, stream) in [(Side::Client, client.try_clone()?), (Side::Display, display.try_clone()?)] {
            let sender = self.sender.clone();
            thread::spawn(move || read(stream, index, side, &sender));
        }
        self.connections.push(Connection {
            client,
            display,
            arrived: Default::default(),
            is_open: [true; 2],
            talk: Talk::default(),
            is_cut: false,
            cut_when: None,
            is_poisoned: false,
            is_altered: false,
            requests: 0,
            answers: 0,
            is_checked: false,
            held: VecDeque::new(),
            holds: 0,
            last_heard: Instant::now(),
        });
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        let index = event.connection;
        let side = event.side as usize;
        let connection = &mut self.connections[index];
        if event.side == Side::Client {
            connection.last_heard = Instant::now();
        }
        if event.bytes.is_empty() {
            connection.is_open[side] = false;
            match event.side {
                Side::Client => _ = connection.display.shutdown(Shutdown::Write),
                Side::Display => {
                    for unit in std::mem::take(&mut connection.held) {
                        self.deliver(index, unit);
                    }
                    _ = self.connections[index].client.shutdown(Shutdown::Write);
                }
            }
            return;
        }
        if connection.is_cut {
            return;
        }
        connection.arrived[side].extend(event.bytes);
        loop {
            let connection = &mut self.connections[index];
            if connection.is_cut {
                return;
            }
            match unit(&mut connection.arrived[side]) {
                Ok(Some(unit)) if event.side == Side::Client => self.client(index, unit),
                Ok(Some(unit)) => self.display(index, unit),
                Ok(None) => return,
                Err(why) => {
                    if event.side == Side::Client {
                        self.rules.broken("calls.md#messages", "each message is a MessagePack array", why);
                    }
                    self.cut(index);
                    return;
                }
            }
        }
    }

    /// Handles a message of the client.
    fn client(&mut self, index: usize, unit: Unit) {
        let connection = &mut self.connections[index];
        let was_greeted = connection.talk.greeted();
        let message = &unit.bytes[unit.check..];
        let seen = self.rules.client(&mut connection.talk, &unit.message, message, unit.check > 0);
        connection.is_checked |= unit.check > 0;
        let is_hello =
            seen.is_none() && connection.talk.hello_number().is_some() && connection.talk.greeted().is_none();
        if is_hello && index == 0 {
            self.began_at = connection.talk.starts_at();
        }
        if let Some(seen) = &seen {
            connection.requests += 1;
            self.asked.insert(seen.number as u32, seen.method.clone());
        }
        if connection.cut_when.is_some() {
            return;
        }
        let place = connection.requests;
        let is_after_welcome =
            was_greeted.is_some() && !std::mem::replace(&mut connection.talk.has_continued, true);
        let act = self.hook(index, |at| match at {
            At::Hello => is_hello,
            At::AfterWelcome => is_after_welcome,
            At::Request(n) => seen.is_some() && n == place,
            At::Method(name) => seen.as_ref().is_some_and(|seen| seen.method.starts_with(name)),
            _ => false,
        });
        match act {
            None => self.forward(index, &unit.bytes),
            Some(Act::CutWhenDone) => {
                self.connections[index].cut_when = seen.map(|seen| seen.number);
                self.forward(index, &unit.bytes);
            }
            Some(Act::Goodbye(code)) => {
                let goodbye = array([Value::Int(2), Value::text("goodbye"), array([fault(code)])]);
                self.write(index, &goodbye.to_bytes());
                self.cut(index);
            }
            Some(Act::Refuse(code)) => {
                let number = Value::Int(self.connections[index].talk.hello_number().unwrap_or_default());
                self.write(index, &array([Value::Int(1), number, fault(code), Value::Nil]).to_bytes());
                self.write(
                    index,
                    &array([Value::Int(2), Value::text("goodbye"), array([fault(code)])]).to_bytes(),
                );
                self.cut(index);
            }
            Some(act) => {
                self.connections[index].is_altered |= matches!(act, Act::Flip(_) | Act::StripCheck);
                let (bytes, cuts) = altered(&unit, act);
                self.forward(index, &bytes);
                if cuts {
                    self.cut(index);
                }
            }
        }
    }

    /// Handles a message of the display.
    fn display(&mut self, index: usize, unit: Unit) {
        self.mistake(index, &unit.message);
        let connection = &mut self.connections[index];
        if connection.cut_when.is_some_and(|number| covers(&unit.message, number)) {
            return self.cut(index);
        }
        let is_welcome = connection.talk.is_greeting(&unit.message);
        let holds = match self.scenario.hold {
            Hold::Nothing => false,
            Hold::Welcome => is_welcome,
            Hold::Answers => !is_welcome,
        };
        if (holds && connection.holds < HELD) || !connection.held.is_empty() {
            connection.held.push_back(unit);
        } else {
            self.deliver(index, unit);
        }
    }

    /// Reports a fault that only a mistake of the client explains.
    fn mistake(&mut self, index: usize, message: &Value) {
        let connection = &self.connections[index];
        if connection.is_altered || connection.is_poisoned {
            return;
        }
        let Some(Value::Array(parts)) = Some(message) else { return };
        let fault = match &parts[..] {
            [Value::Int(1), _, error, _] => Some(error),
            [Value::Int(2), Value::Str(name), Value::Array(params)] if name == "goodbye" => params.first(),
            _ => None,
        };
        let Some(code) = fault.and_then(code) else { return };
        if let Some((code, section)) = MISTAKES.iter().find(|(mistake, _)| *mistake == code) {
            let seen = format!(
                "the display says {message}; the client's last message: {}",
                self.rules.last_message()
            );
            self.rules.broken(section, format!("the display has no reason to say `{code}`"), seen);
        }
    }

    /// Sends a message of the display to the client, as the script says.
    fn deliver(&mut self, index: usize, mut unit: Unit) {
        let connection = &mut self.connections[index];
        if connection.is_cut {
            return;
        }
        let is_welcome = connection.talk.is_greeting(&unit.message);
        connection.answers += usize::from(!is_welcome);
        let (place, message) = (connection.answers, &unit.message);
        let parts = message.as_array().unwrap_or_default();
        let response = (parts.first() == Some(&Value::Int(1))).then(|| parts.get(1)?.as_int()).flatten();
        let method = response.and_then(|id| self.asked.get(&(id as u32))).cloned();
        let is_fault =
            !is_welcome && response.is_some() && parts.get(2).is_some_and(|error| *error != Value::Nil);
        let act = self.hook(index, |at| match at {
            At::Welcome => is_welcome,
            At::Answer(n) => !is_welcome && n == place,
            At::Fault => is_fault,
            At::ResponseTo(name) => !is_welcome && method.as_deref() == Some(name),
            _ => false,
        });
        let rewrites = matches!(act, Some(Act::Rewrite(_) | Act::Insert(_)));
        if rewrites && self.connections[index].is_checked {
            let expected = "the client uses checksums only if DRAW_LEVEL is `checks`, as the task says";
            self.rules.broken("checks.md#agreement", expected, "its messages have checks");
        }
        match act {
            None => {}
            Some(Act::Rewrite(rewrite)) => {
                rewrite(&mut unit.message);
                unit.bytes = unit.message.to_bytes();
            }
            Some(Act::Insert(message)) => self.write(index, &message().to_bytes()),
            Some(act) => {
                let (bytes, cuts) = altered(&unit, act);
                self.connections[index].is_poisoned = true;
                self.write(index, &bytes);
                if cuts {
                    self.cut(index);
                }
                return;
            }
        }
        self.write(index, &unit.bytes);
        let connection = &mut self.connections[index];
        if !connection.is_poisoned {
            self.rules.delivered(&mut connection.talk, &unit.message);
        }
    }

    /// Returns the act of the first hook that is due at this message.
    fn hook(&mut self, index: usize, is_at: impl Fn(At) -> bool) -> Option<Act> {
        let is_due = |hook: &Hook, acted: usize| {
            (hook.connection == 0 || hook.connection == index + 1) && acted < hook.times && is_at(hook.at)
        };
        let found =
            self.scenario.hooks.iter().zip(&self.acted).position(|(hook, &acted)| is_due(hook, acted))?;
        self.acted[found] += 1;
        Some(self.scenario.hooks[found].act)
    }

    fn forward(&mut self, index: usize, bytes: &[u8]) {
        // A display that has closed the connection has said why.
        _ = self.connections[index].display.write_all(bytes);
    }

    fn write(&mut self, index: usize, bytes: &[u8]) {
        let connection = &mut self.connections[index];
        let result = if self.scenario.bytewise {
            bytes.chunks(1).enumerate().try_for_each(|(at, byte)| {
                if at == bytes.len() / 2 && connection.answers < 4 {
                    thread::sleep(Duration::from_millis(30));
                }
                connection.client.write_all(byte)
            })
        } else {
            connection.client.write_all(bytes)
        };
        if let Err(error) = result
            && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        {
            self.rules.broken(
                "calls.md#closing",
                "a client reads while it writes",
                format!("it has not read for {WRITE:?}"),
            );
            self.cut(index);
        }
    }

    /// Ends the connection for both sides. What was forwarded still arrives.
    fn cut(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.is_cut = true;
        connection.held.clear();
        _ = connection.client.shutdown(Shutdown::Write);
        _ = connection.display.shutdown(Shutdown::Write);
    }
}

impl Drop for Judge<'_> {
    fn drop(&mut self) {
        for connection in &self.connections {
            _ = connection.client.shutdown(Shutdown::Both);
            _ = connection.display.shutdown(Shutdown::Both);
        }
    }
}

/// Sends what arrives on `stream` to the judge, until its end.
fn read(mut stream: TcpStream, connection: usize, side: Side, sender: &SyncSender<Event>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let event = Event { connection, side, bytes: buffer[..length].to_vec() };
        if sender.send(event).is_err() || length == 0 {
            return;
        }
    }
}

/// Takes the first message off `bytes`, with the check in front of it.
fn unit(bytes: &mut Vec<u8>) -> Result<Option<Unit>, String> {
    let Some((mut message, mut length)) = Value::decode(bytes)? else {
        return if bytes.len() > MESSAGE {
            Err(format!("a message has more than {MESSAGE} bytes"))
        } else {
            Ok(None)
        };
    };
    let mut check = 0;
    if is_check(&message) {
        check = length;
        let Some((checked, more)) = Value::decode(&bytes[check..])? else { return Ok(None) };
        (message, length) = (checked, check + more);
    }
    if message.as_array().is_none() {
        return Err(format!("{message} is not an array"));
    }
    Ok(Some(Unit { bytes: bytes.drain(..length).collect(), message, check }))
}

fn is_check(message: &Value) -> bool {
    matches!(message.as_array(), Some([Value::Int(2), Value::Str(name), Value::Array(_)]) if ["check", "crc32"].contains(&&**name))
}

/// Returns the bytes that arrive of a message, and whether the connection is cut behind them.
fn altered(unit: &Unit, act: Act) -> (Vec<u8>, bool) {
    let mut bytes = unit.bytes.clone();
    match act {
        Act::Cut => return (Vec::new(), true),
        Act::CutAfter(n) => return (bytes[..n.min(bytes.len() - 1)].to_vec(), true),
        Act::CutHalf => return (bytes[..bytes.len() / 2].to_vec(), true),
        Act::Drop => bytes.clear(),
        Act::StripCheck => drop(bytes.drain(..unit.check)),
        Act::Flip(Bit::Check) if unit.check > 0 => bytes[unit.check - 1] ^= 1,
        Act::Flip(_) => {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        _ => {}
    }
    (bytes, false)
}

/// Returns whether a message of the display reports that request `number` was executed.
fn covers(message: &Value, number: i128) -> bool {
    match message.as_array() {
        Some([Value::Int(1), id, ..]) => id.as_int() == Some(number & 0xffff_ffff),
        Some([Value::Int(2), Value::Str(name), Value::Array(params)]) if name == "progress" => {
            params.first().and_then(Value::as_int).is_some_and(|progress| progress >= number)
        }
        _ => false,
    }
}

/// Returns the code of a fault in either form.
fn code(fault: &Value) -> Option<&str> {
    match fault {
        Value::Array(plain) => plain.get(1)?.as_str()?.split(':').next(),
        fault => fault.get("code")?.as_str(),
    }
}

fn fault(code: &str) -> Value {
    map([("code", Value::text(code)), ("message", Value::text("the script of the scenario says so"))])
}
