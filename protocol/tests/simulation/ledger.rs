//! Records calls and executions, and checks that they agree.

use crate::common::calls::Owned;
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Answer, Code, Color, Fault, Method, Pixel, Range, Request, Size};
use std::collections::HashMap;

/// The smallest operation that is executed or not. Each drawing unit has a unique color, which encodes its number; each
/// reading unit has a unique position.
#[derive(Debug)]
struct Unit {
    session: usize,
    shape: Shape,
    /// How often the unit has been executed, without executions that the display has lost.
    times: u32,
    /// Whether a restart of the display lost the unit.
    was_lost: bool,
    answers: Vec<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    /// `(x, y)`, width and height of a rectangle or a row of an image.
    Rectangle(i32, i32, u32, u32),
    Everything,
    /// The position and width of a pixel or a band of an image that is read.
    Question(i32, i32, u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    AnswerLost,
    Unknown,
    /// Given up before any of its bytes were sent.
    Unsent,
}

#[derive(Debug)]
struct Made {
    units: std::ops::Range<usize>,
    has_answer: bool,
    /// Whether the call is a `sync_durable`.
    vouches: bool,
    /// Whether the display refuses the call or a part of it. `rejected` has the pixels.
    fails: bool,
    rejected: Vec<Range>,
    outcome: Option<Outcome>,
    /// Whether the client was informed that the display has lost calls already reported done.
    is_forgiven: bool,
}

/// A process of the display: the number of the display, and the total number of restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    display: u64,
    restarts: u64,
}

#[derive(Debug, Default)]
struct Session {
    calls: Vec<Made>,
    /// All calls before this index have an outcome.
    settled: usize,
    last_unit: Option<usize>,
    last_drawn: Option<usize>,
    asked: u32,
    /// The display of the client's last connection.
    display: Option<u64>,
    /// Whether the client requested reports only of what is on disk.
    is_durable: bool,
    /// The unit before which all executed units are on disk, according to reports to the client.
    vouched: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    units: Vec<Unit>,
    sessions: Vec<Session>,
    ids: HashMap<Id, usize>,
    places: HashMap<(usize, Shape), usize>,
    /// The executed units, in order.
    log: Vec<usize>,
    /// The index in the log at which the present display begins. `displays` counts earlier displays.
    picture: usize,
    displays: u64,
    /// The number of restarts of the display.
    restarts: u64,
    /// Whether the display has a journal.
    has_journal: bool,
    /// The number of `sync_durable` answers, and the number of lost units that were not reported to a durable client.
    vouchers: usize,
    lost_untold: usize,
    /// The number of calls given up before any of their bytes were sent.
    unsent: usize,
    /// The first error found.
    wrong: Option<String>,
}

/// The message limit of the simulation's display, which determines the image rows per request.
pub(crate) const MESSAGE: usize = 4096;
pub(crate) const SIZE: Size = Size { width: 64, height: 96 };
const FIRST_COLOR: u32 = 4096;

fn color(unit: usize) -> Color {
    Color::from_u32(FIRST_COLOR + unit as u32)
}

impl Ledger {
    pub(crate) fn new(has_journal: bool) -> Ledger {
        Ledger { has_journal, ..Ledger::default() }
    }

    pub(crate) fn is_durable(&self, session: usize) -> bool {
        self.sessions[session].is_durable
    }

    /// Returns the number of `sync_durable` answers, and the number of lost units that were not reported to a durable
    /// client.
    pub(crate) fn durable(&self) -> [usize; 2] {
        [self.vouchers, self.lost_untold]
    }

    /// Returns the number of calls given up before any of their bytes were sent.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    pub(crate) fn check(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds && self.wrong.is_none() {
            self.wrong = Some(text());
        }
    }

    pub(crate) fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    pub(crate) fn open(&mut self, id: Id) -> usize {
        self.ids.insert(id, self.sessions.len());
        // Half of the sessions are durable if the display has a journal.
        let is_durable = self.has_journal && id.0[15].is_multiple_of(2);
        self.sessions.push(Session { is_durable, ..Session::default() });
        self.sessions.len() - 1
    }

    pub(crate) fn calls(&self, session: usize) -> u64 {
        self.sessions[session].calls.len() as u64
    }

    pub(crate) fn executions(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn all_settled(&self, session: usize) -> bool {
        self.sessions[session].calls.iter().all(|call| call.outcome.is_some())
    }

    /// Returns a number that no other read of this session has.
    pub(crate) fn next_question(&mut self, session: usize) -> u32 {
        let asked = &mut self.sessions[session].asked;
        *asked += 1;
        *asked - 1
    }

    fn unit(&mut self, session: usize, shape: Shape) -> usize {
        let unit = Unit { session, shape, times: 0, was_lost: false, answers: Vec::new() };
        self.units.push(unit);
        if let Shape::Question(..) = shape {
            self.places.insert((session, shape), self.units.len() - 1);
        }
        self.units.len() - 1
    }

    /// Registers a call, and sets the colors of its units.
    pub(crate) fn call(&mut self, session: usize, call: &mut Owned) {
        let first = self.units.len();
        let (mut fails, mut rejected) = (false, Vec::<Range>::new());
        let is_outside =
            |x: i32, y: i32| !(0..SIZE.width as i32).contains(&x) || !(0..SIZE.height as i32).contains(&y);
        match call {
            Owned::Pixels(pixels) => {
                for (i, pixel) in (0..).zip(pixels) {
                    let (x, y) = (pixel.x.into(), pixel.y.into());
                    pixel.color = color(self.unit(session, Shape::Rectangle(x, y, 1, 1)));
                    if is_outside(x, y) {
                        match rejected.last_mut() {
                            Some(range) if range.first + range.count == i => range.count += 1,
                            _ => rejected.push(Range { first: i, count: 1 }),
                        }
                    }
                }
                fails = !rejected.is_empty();
            }
            Owned::Image { x, y, width, rgba } => {
                for (row, bytes) in (0..).zip(rgba.chunks_mut(*width as usize * 4)) {
                    let color = color(self.unit(session, Shape::Rectangle(*x, *y + row, *width, 1)));
                    bytes.chunks_mut(4).for_each(|pixel| pixel.copy_from_slice(&color.to_bytes()));
                    fails |= is_outside(*x, *y + row) || is_outside(*x + *width as i32 - 1, *y + row);
                }
            }
            // Colors identify calls, and sums do not keep them.
            Owned::Additions(_) => unreachable!("the workload adds nothing"),
            Owned::Plain(Request::DrawPixel { x, y, color: given }) => {
                fails = is_outside(*x, *y);
                *given = color(self.unit(session, Shape::Rectangle(*x, *y, 1, 1)));
            }
            Owned::Plain(Request::FillRect { x, y, width, height, color: given }) => {
                fails = is_outside(*x, *y) || is_outside(*x + *width as i32 - 1, *y + *height as i32 - 1);
                *given = color(self.unit(session, Shape::Rectangle(*x, *y, *width, *height)));
            }
            Owned::Plain(Request::Clear { color: given }) => {
                *given = color(self.unit(session, Shape::Everything));
            }
            Owned::Plain(Request::GetPixel { x, y }) => {
                fails = is_outside(*x, *y);
                self.unit(session, Shape::Question(*x, *y, 1));
            }
            Owned::Plain(Request::GetImage { x, y, width, height }) => {
                let rows = (MESSAGE as u32 - 64) / (*width * 4);
                for first in (0..*height).step_by(rows as usize) {
                    self.unit(session, Shape::Question(*x, *y + first as i32, *width));
                }
            }
            Owned::Plain(_) => {}
        }
        let units = first..self.units.len();
        let has_answer = call.request().method().has_answer();
        let vouches = call.request().method() == Method::SyncDurable;
        fails |= vouches && !self.has_journal;
        let made = Made { units, has_answer, vouches, fails, rejected, outcome: None, is_forgiven: false };
        self.sessions[session].calls.push(made);
    }

    /// Records a request that the display has executed.
    pub(crate) fn executed(&mut self, id: Id, request: &Request<'_>, result: &Result<Answer, Fault>) {
        let Some(&session) = self.ids.get(&id) else {
            return self.check(false, || format!("{id} is nobody's session"));
        };
        let of = |color: Color| color.to_u32().wrapping_sub(FIRST_COLOR) as usize;
        match *request {
            Request::DrawPixel { x, y, color } => {
                self.execute(session, of(color), Shape::Rectangle(x, y, 1, 1));
            }
            Request::DrawPixels { pixels } => {
                for (x, y, color) in pixels.iter() {
                    self.execute(session, of(color), Shape::Rectangle(x, y, 1, 1));
                }
            }
            Request::FillRect { x, y, width, height, color } => {
                self.execute(session, of(color), Shape::Rectangle(x, y, width, height));
            }
            Request::PutImage { x, y, width, rgba, .. } => {
                for (row, bytes) in (0..).zip(rgba.chunks(width as usize * 4)) {
                    let color = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                    self.execute(session, of(Color::from_u32(color)), Shape::Rectangle(x, y + row, width, 1));
                }
            }
            Request::Clear { color } => self.execute(session, of(color), Shape::Everything),
            Request::GetPixel { x, y } => self.answer(session, Shape::Question(x, y, 1), result),
            Request::GetImage { x, y, width, .. } => {
                self.answer(session, Shape::Question(x, y, width), result);
            }
            _ => {}
        }
    }

    fn answer(&mut self, session: usize, shape: Shape, result: &Result<Answer, Fault>) {
        match self.places.get(&(session, shape)) {
            None => self.check(false, || format!("session {session} never asked {shape:?}")),
            Some(&unit) => {
                self.execute(session, unit, shape);
                self.units[unit].answers.extend(result.clone().ok());
            }
        }
    }

    fn execute(&mut self, session: usize, number: usize, shape: Shape) {
        let Some(unit) = self.units.get_mut(number).filter(|unit| unit.session == session) else {
            return self.check(false, || format!("session {session} never called for {number}: {shape:?}"));
        };
        unit.times += 1;
        let (was, times) = (unit.shape, unit.times);
        self.check(was == shape, || {
            format!("unit {number} was {was:?} when called and {shape:?} when executed")
        });
        if let (2.., Shape::Question(..)) = (times, shape) {
            // Sent again because its answer was not kept: the answer must be the same.
            let drawn = self.sessions[session].last_drawn;
            self.sessions[session].last_unit = Some(number);
            return self.check(drawn < Some(number), || {
                format!("session {session}: question {number} was answered again after {drawn:?} had drawn")
            });
        }
        self.check(times == 1, || format!("unit {number} of session {session} was executed {times} times"));
        if !matches!(shape, Shape::Question(..)) {
            self.sessions[session].last_drawn = Some(number);
        }
        let last = self.sessions[session].last_unit.replace(number);
        self.check(last < Some(number), || {
            format!("session {session}: unit {number} was executed after {last:?}")
        });
        self.log.push(number);
    }

    /// Records a restart of the display, which keeps only the first `kept` executed units.
    pub(crate) fn roll_back(&mut self, kept: usize) {
        for unit in self.log.split_off(kept.min(self.log.len())) {
            self.units[unit].times -= 1;
            self.units[unit].was_lost = true;
            self.lose(unit);
        }
        self.restarts += 1;
        for session in &mut self.sessions {
            (session.last_unit, session.last_drawn) = (None, None);
        }
        for &number in &self.log {
            let unit = &self.units[number];
            let session = &mut self.sessions[unit.session];
            session.last_unit = Some(number);
            if !matches!(unit.shape, Shape::Question(..)) {
                session.last_drawn = Some(number);
            }
        }
    }

    /// Checks that a lost unit was not reported as being on disk. Reads are not on disk.
    fn lose(&mut self, number: usize) {
        let Unit { session, shape, .. } = self.units[number];
        let Session { is_durable, vouched, calls, .. } = &self.sessions[session];
        if matches!(shape, Shape::Question(..)) {
            return;
        }
        let call = calls.partition_point(|call| call.units.end <= number);
        let is_told = !matches!(calls[call].outcome, None | Some(Outcome::Unknown));
        self.lost_untold += usize::from(*is_durable && !is_told);
        let is_right = number >= *vouched && !(*is_durable && is_told);
        self.check(is_right, || {
            format!(
                "call {} of session {session} was said to be on disk, and unit {number} is lost",
                call + 1
            )
        });
    }

    /// Records that another, empty display replaces the present one.
    pub(crate) fn start_over(&mut self) {
        (self.picture, self.displays) = (self.log.len(), self.displays + 1);
        self.restarts += 1;
    }

    /// Returns the present process of the display.
    pub(crate) fn process(&self) -> Process {
        Process { display: self.displays, restarts: self.restarts }
    }

    /// Records the first answer to `hello`.
    pub(crate) fn welcomed(&mut self, session: usize, by: Process) {
        self.sessions[session].display = Some(by.display);
    }

    /// Records the standing reported to the client, and the calls with an unknown outcome.
    pub(crate) fn resumed(&mut self, session: usize, by: Process, standing: Standing, unknown: &[u64]) {
        let is_same = self.sessions[session].display.replace(by.display) == Some(by.display);
        self.check(standing != Standing::Regressed || !self.is_durable(session), || {
            format!("session {session} is durable and has regressed")
        });
        self.check((standing == Standing::StateLost) != is_same, || {
            format!("session {session} is told {standing:?}; that it is the same display is {is_same}")
        });
        for &number in unknown {
            self.settle(session, number, Outcome::Unknown);
        }
        // If the process has ended since it sent this, the next one reports its losses.
        if matches!(standing, Standing::Resumed | Standing::Regressed) && by == self.process() {
            self.check_done(session);
        }
    }

    /// Records that the client has given up: the calls that may have been executed, and those that never will be.
    pub(crate) fn gave_up(&mut self, session: usize, begun: &[u64], unsent: &[u64]) {
        begun.iter().for_each(|&number| self.settle(session, number, Outcome::Unknown));
        unsent.iter().for_each(|&number| self.settle(session, number, Outcome::Unsent));
        self.unsent += unsent.len();
        let is_settled = self.all_settled(session);
        self.check(is_settled, || {
            format!("session {session} was given up, and has calls without an outcome")
        });
    }

    /// Records that the client accepts the loss of calls reported done.
    pub(crate) fn forgive(&mut self, session: usize) {
        for call in self.sessions[session].calls.iter_mut().filter(|call| call.outcome.is_some()) {
            call.is_forgiven = true;
        }
    }

    /// Records that `last` and all calls before it are done: drawing calls without another outcome have succeeded.
    pub(crate) fn done(&mut self, session: usize, last: u64) {
        while self.sessions[session].settled < last as usize {
            let at = self.sessions[session].settled;
            let call = &mut self.sessions[session].calls[at];
            if call.outcome.is_none() {
                let (has_answer, fails) = (call.has_answer, call.fails);
                call.outcome = Some(Outcome::Done);
                self.check(!has_answer, || format!("call {} is done and has no answer", at + 1));
                self.check(!fails, || format!("call {} is reported as a success, and is none", at + 1));
            }
            self.sessions[session].settled += 1;
        }
    }

    fn settle(&mut self, session: usize, number: u64, outcome: Outcome) {
        let Some(call) = self.sessions[session].calls.get_mut(number as usize - 1) else {
            return self.check(false, || format!("session {session} has no call {number}"));
        };
        let before = call.outcome.replace(outcome.clone());
        self.check(before.is_none(), || {
            format!("call {number} of session {session} is {outcome:?} and was {before:?} before")
        });
    }

    pub(crate) fn failed(&mut self, session: usize, number: u64, fault: &Fault) {
        match fault.code {
            Code::AnswerLost => return self.settle(session, number, Outcome::AnswerLost),
            // The display may have lost the beginning of this call.
            Code::StateRegressed if !self.is_durable(session) => {
                return self.settle(session, number, Outcome::Unknown);
            }
            _ => {}
        }
        self.settle(session, number, Outcome::Failed);
        let call = &self.sessions[session].calls[number as usize - 1];
        let code = if call.vouches { Code::NoJournal } else { Code::OutOfBounds };
        let is_right = call.fails && fault.code == code && fault.rejected() == call.rejected;
        let wanted = format!("{:?}", call.rejected);
        self.check(is_right, || format!("call {number}: {fault} with {:?}, not {wanted}", fault.rejected()));
    }

    pub(crate) fn answered(&mut self, session: usize, number: u64, answer: &Answer) {
        self.settle(session, number, Outcome::Done);
        let Session { calls, vouched, .. } = &mut self.sessions[session];
        let call = &calls[number as usize - 1];
        if call.vouches {
            *vouched = call.units.start.max(*vouched);
            self.vouchers += 1;
        }
        let call = &self.sessions[session].calls[number as usize - 1];
        let mut units = self.units[call.units.clone()].iter();
        let is_right = match answer {
            Answer::Pixel(_) => units.all(|unit| unit.answers.contains(answer)),
            Answer::Image(bytes) => {
                let mut rest = &bytes[..];
                let mut is_next = |band: &Answer| {
                    let Answer::Image(band) = band else { return false };
                    rest.strip_prefix(&band[..]).map(|after| rest = after).is_some()
                };
                units.all(|unit| unit.answers.iter().any(&mut is_next)) && rest.is_empty()
            }
            _ => call.units.is_empty(),
        };
        self.check(is_right && !call.fails, || format!("call {number} of {session} has the wrong answer"));
    }

    /// Checks that calls reported done were executed.
    fn check_done(&mut self, session: usize) {
        let mut wrong = None;
        for (i, call) in self.sessions[session].calls.iter().enumerate() {
            let units = &self.units[call.units.clone()];
            let is_right = match call.outcome {
                None | Some(Outcome::Unknown | Outcome::Unsent) => true,
                Some(_) => units.iter().all(|unit| match unit.shape {
                    // A read whose answer was not kept is sent again. The client gets one of the answers.
                    Shape::Question(..) if unit.times > 0 || unit.was_lost => true,
                    _ => unit.times == 1 || (unit.was_lost && call.is_forgiven),
                }),
            };
            if !is_right {
                wrong = Some(format!("call {} of session {session} is {:?}: {units:?}", i + 1, call.outcome));
                break;
            }
        }
        self.check(wrong.is_none(), || wrong.clone().unwrap_or_default());
    }

    /// Checks that calls reported unsent were not executed by any display.
    fn check_unsent(&mut self, session: usize) {
        let calls = (1..).zip(&self.sessions[session].calls);
        let wrong = calls.filter(|(_, call)| call.outcome == Some(Outcome::Unsent)).find(|(_, call)| {
            self.units[call.units.clone()].iter().any(|unit| unit.times > 0 || unit.was_lost)
        });
        let wrong =
            wrong.map(|(number, _)| format!("call {number} of session {session} was not sent, and executed"));
        self.check(wrong.is_none(), || wrong.unwrap_or_default());
    }

    /// Checks the end of a run. `is_at_rest` returns true for a session whose client is connected and knows the outcome
    /// of every call.
    pub(crate) fn check_end(&mut self, picture: &[Color], is_at_rest: impl Fn(usize) -> bool) {
        for session in 0..self.sessions.len() {
            self.check_unsent(session);
            let is_settled = self.all_settled(session);
            if is_at_rest(session) {
                self.check(is_settled, || format!("session {session} has calls without an outcome"));
                self.check_done(session);
            }
        }
        let mut canvas = vec![Color::BLACK; picture.len()];
        for &number in &self.log[self.picture..] {
            match self.units[number].shape {
                Shape::Everything => canvas.fill(color(number)),
                Shape::Rectangle(x, y, width, height) => {
                    let area = SIZE.clip(x, y, width, height);
                    for row in area.rows() {
                        let start = (row * SIZE.width + area.x) as usize;
                        canvas[start..start + area.width as usize].fill(color(number));
                    }
                }
                Shape::Question(..) => {}
            }
        }
        self.check(canvas == picture, || "the picture is not what was drawn".into());
    }
}

/// Returns a pixel whose color [`Ledger::call`] sets.
pub(crate) fn uncolored(x: usize, y: usize) -> Pixel {
    Pixel::new(x as u16, y as u16, Color::BLACK)
}
