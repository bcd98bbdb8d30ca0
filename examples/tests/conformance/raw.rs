//! A client written from protocol/spec alone, up to sessions, which can break a chosen rule.

use draw_examples::conformance::value::{Value, array, map};
use draw_examples::conformance::{Level, Setup, task};
use std::collections::{HashMap, VecDeque};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// The rule that a client breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    Nothing,
    /// After a cut it sends everything without a reply again, as new requests.
    SendsAgainAsNew,
    /// It never waits for credit.
    IgnoresCredit,
    /// Every request has the msgid 1.
    ReusesNumbers,
    /// It fails at an unknown notification.
    DiesOfNotifications,
    /// It sends requests before the response to `hello`.
    DoesNotWait,
    /// It does not confirm.
    DoesNotConfirm,
    /// It does not say that it confirms.
    HidesConfirmation,
    /// It does not end its session.
    DoesNotEnd,
    /// Each `hello` has the same `attempt`.
    KeepsAttempt,
    /// It retransmits with other bytes.
    ChangesBytes,
    /// It acknowledges replies that it has not received.
    AcknowledgesTooMuch,
    /// It prints no errors.
    HidesErrors,
    /// It ends with success when the connection is lost.
    ClaimsSuccess,
    /// It waits forever when the connection is lost.
    Hangs,
    /// Its msgid has more than 32 bits.
    DoesNotWrap,
}

struct Request {
    number: u64,
    bytes: Vec<u8>,
}

struct Raw {
    setup: Setup,
    breaks: Breaks,
    stream: TcpStream,
    arrived: Vec<u8>,
    attempt: u64,
    born: u64,
    incarnation: Option<Value>,
    instance: Option<Value>,
    /// The number of the next request, and of the last one up to which all have replies.
    next: u64,
    covered: u64,
    calls: usize,
    bytes: usize,
    sent: VecDeque<Request>,
    /// Results and codes of faults, by number.
    replies: HashMap<u64, std::result::Result<Value, String>>,
    output: String,
}

/// Performs the task. Returns whether it succeeded, and the output.
pub(super) fn perform(setup: Setup, breaks: Breaks) -> (bool, String) {
    let Ok(stream) = TcpStream::connect(setup.address) else { return (false, String::new()) };
    let next = setup.first.unwrap_or(1);
    let mut raw = Raw {
        setup,
        breaks,
        stream,
        arrived: Vec::new(),
        attempt: setup.first.map_or(1, |_| 2),
        born: 0,
        incarnation: None,
        instance: None,
        next,
        covered: next - 1,
        calls: usize::MAX,
        bytes: usize::MAX,
        sent: VecDeque::new(),
        replies: HashMap::new(),
        output: String::new(),
    };
    let done = raw.task().is_ok();
    let output = if breaks == Breaks::HidesErrors { raw.output.replace("error ", "") } else { raw.output };
    (done || breaks == Breaks::ClaimsSuccess, output)
}

fn ints<const N: usize>(numbers: [u32; N]) -> Value {
    array(numbers.map(|n| Value::Int(n.into())))
}

impl Raw {
    fn task(&mut self) -> Result<()> {
        if self.setup.level > Level::Plain {
            self.greet()?;
        }
        let size = self.ask("get_size", array([]))?;
        let size = size.as_array().unwrap();
        self.output += &format!("size {}x{}\n", size[0], size[1]);
        self.call("clear", ints([0]))?;
        for x in 0..64 {
            self.call("draw_pixel", ints([x, 0, task::color(x)]))?;
        }
        let record =
            |x: u32| [&(x as u16).to_be_bytes()[..], &[0, 1], &task::color(x).to_be_bytes()].concat();
        self.call("draw_pixels", array([Value::Bin((0..=64).flat_map(record).collect())]))?;
        for k in 0..task::ADDITIONS {
            self.call("add_pixel", ints([k % 8, 2, 1 << (k / 8)]))?;
        }
        let pixel = self.ask("get_pixel", ints([3, 2]))?;
        self.output += &format!("pixel {:08x}\n", pixel.as_int().unwrap());
        let Value::Bin(image) = self.ask("get_image", ints([0, 2, 8, 1]))? else {
            panic!("an image is a bin")
        };
        let digits: String = image.iter().map(|byte| format!("{byte:02x}")).collect();
        self.output += &format!("image {digits}\n");
        self.ask("sync", array([]))?;
        self.output += "done\n";
        if self.setup.level >= Level::Session && self.breaks != Breaks::DoesNotEnd {
            self.send(&array([Value::Int(2), Value::text("end"), array([])]).to_bytes())?;
            // Otherwise unread messages make TCP reset the connection.
            _ = self.stream.shutdown(Shutdown::Write);
            _ = self.stream.read_to_end(&mut Vec::new());
        }
        Ok(())
    }

    fn greet(&mut self) -> Result<()> {
        let mut hello = map([("version", Value::Int(1)), ("client", Value::text("raw"))]);
        if self.setup.level >= Level::Session {
            hello.set("session", Value::Bin(vec![self.setup.address.port() as u8; 16]));
            hello.set("confirms", Value::Bool(self.breaks != Breaks::HidesConfirmation));
            for (key, value) in
                [("attempt", self.attempt), ("born", self.born), ("ack", self.covered), ("next", self.next)]
            {
                hello.set(key, Value::Int(value.into()));
            }
            let known = [("instance", &self.instance), ("incarnation", &self.incarnation)];
            known
                .iter()
                .for_each(|(key, value)| _ = value.as_ref().map(|value| hello.set(key, value.clone())));
        }
        let attempt = self.attempt;
        self.attempt += u64::from(self.breaks != Breaks::KeepsAttempt);
        self.send(&array([Value::Int(0), Value::Int(0), Value::text("hello"), array([hello])]).to_bytes())?;
        if self.breaks == Breaks::DoesNotWait {
            self.transmit("sync", array([]))?;
        }
        let welcome = self.read()?;
        let welcome = welcome.as_array().unwrap()[3].clone();
        let int = |key| welcome.get(key).and_then(Value::as_int).map(|n| n as u64);
        (self.calls, self.bytes) = (int("calls").unwrap_or(0) as usize, int("bytes").unwrap_or(0) as usize);
        let Some(state) = welcome.get("session").and_then(Value::as_str) else {
            // Refused, or without a session.
            return if welcome == Value::Nil { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(()) };
        };
        self.instance = welcome.get("instance").cloned();
        if let Some(nonce) = welcome.get("nonce").filter(|_| self.breaks != Breaks::DoesNotConfirm) {
            self.send(&array([Value::Int(2), Value::text("confirm"), array([nonce.clone()])]).to_bytes())?;
        }
        if state != "resumed" {
            (self.born, self.incarnation) = (attempt, welcome.get("nonce").cloned());
            if !self.sent.is_empty() {
                return Err(ErrorKind::Unsupported.into());
            }
        }
        let applied = int("applied").unwrap_or(0);
        let mut again: Vec<_> =
            self.sent.iter().filter(|sent| sent.number > applied).map(|sent| sent.bytes.clone()).collect();
        if self.breaks == Breaks::ChangesBytes {
            // The colour or amount, or the last parameter.
            again.iter_mut().for_each(|bytes| *bytes.last_mut().unwrap() ^= 1);
        }
        again.iter().try_for_each(|bytes| self.send(bytes))
    }

    /// Reconnects repeatedly until that succeeds, with a pause before each attempt except the first.
    fn recover(&mut self) -> Result<()> {
        match self.breaks {
            Breaks::Hangs => std::thread::sleep(Duration::from_secs(3600)),
            _ if self.setup.level < Level::Session => return Err(ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        for attempt in 0..8 {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            self.arrived.clear();
            let Ok(stream) = TcpStream::connect(self.setup.address) else { continue };
            self.stream = stream;
            let old = if self.breaks == Breaks::SendsAgainAsNew {
                std::mem::take(&mut self.sent)
            } else {
                VecDeque::new()
            };
            match self.greet() {
                Ok(()) => {
                    return old.into_iter().try_for_each(|request| {
                        let (message, _) = Value::decode(&request.bytes).unwrap().unwrap();
                        let parts = message.as_array().unwrap();
                        self.transmit(parts[2].as_str().unwrap(), parts[3].clone()).map(|_| ())
                    });
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
                Err(_) => {}
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a new request.
    fn transmit(&mut self, method: &str, params: Value) -> Result<u64> {
        let number = self.next;
        let msgid = match self.breaks {
            Breaks::ReusesNumbers => 1,
            Breaks::DoesNotWrap => i128::from(number),
            _ => i128::from(number as u32),
        };
        let bytes = array([Value::Int(0), Value::Int(msgid), Value::text(method), params]).to_bytes();
        while self.setup.level > Level::Plain
            && self.breaks != Breaks::IgnoresCredit
            && !self.sent.is_empty()
            && (self.sent.len() >= self.calls
                || self.sent.iter().map(|sent| sent.bytes.len()).sum::<usize>() + bytes.len() > self.bytes)
        {
            self.receive()?;
        }
        self.next += 1;
        self.sent.push_back(Request { number, bytes: bytes.clone() });
        if self.send(&bytes).is_err() {
            self.recover()?;
        }
        Ok(number)
    }

    fn call(&mut self, method: &str, params: Value) -> Result<()> {
        let number = self.transmit(method, params)?;
        while self.setup.level == Level::Plain && !self.replies.contains_key(&number) {
            self.receive()?;
        }
        Ok(())
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        loop {
            let number = self.transmit(method, params.clone())?;
            // Progress may cover a question whose response is missing.
            while !self.replies.contains_key(&number) && self.covered < number {
                self.receive()?;
            }
            match self.replies.remove(&number) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(code)) if code != "answer_lost" => return Err(Error::other(code)),
                _ => {}
            }
        }
    }

    /// Returns the next message.
    fn read(&mut self) -> Result<Value> {
        loop {
            match Value::decode(&self.arrived) {
                Ok(Some((message, length))) => {
                    self.arrived.drain(..length);
                    return Ok(message);
                }
                Ok(None) => {}
                Err(why) => return Err(Error::other(why)),
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => self.arrived.extend(&buffer[..length]),
            }
        }
    }

    /// Handles the next message; reconnects if there is none.
    fn receive(&mut self) -> Result<()> {
        let Ok(message) = self.read() else { return self.recover() };
        let parts = message.as_array().unwrap();
        if parts[0] == Value::Int(1) {
            let id = parts[1].as_int().unwrap() as u32;
            // One of the last sent numbers has these low bits.
            let back = (self.next as u32).wrapping_sub(id);
            let number = self.next - u64::from(back);
            let reply = match &parts[2] {
                Value::Nil => Ok(parts[3].clone()),
                Value::Array(plain) => Err(plain[1].as_str().unwrap().split(':').next().unwrap().to_owned()),
                fault => Err(fault.get("code").unwrap().as_str().unwrap().to_owned()),
            };
            let question = self
                .sent
                .iter()
                .any(|sent| sent.number == number && sent.bytes.windows(4).any(|w| w == b"get_"));
            if let Err(code) = &reply
                && !question
            {
                self.output += &format!("error {code}\n");
            }
            self.replies.insert(number, reply);
            self.cover(number)
        } else {
            match parts[1].as_str().unwrap() {
                "progress" => {
                    let number = parts[2].as_array().unwrap()[0].as_int().unwrap() as u64;
                    self.cover(number)
                }
                "goodbye" => self.recover(),
                other if self.breaks == Breaks::DiesOfNotifications => panic!("what is {other}?"),
                _ => Ok(()),
            }
        }
    }

    fn cover(&mut self, number: u64) -> Result<()> {
        self.covered = self.covered.max(number);
        self.sent.retain(|sent| sent.number > number);
        if self.breaks == Breaks::AcknowledgesTooMuch {
            let ack = array([Value::Int(self.next.into())]);
            self.send(&array([Value::Int(2), Value::text("ack"), ack]).to_bytes())?;
        }
        Ok(())
    }
}
