//! Executes calls on a canvas, in turns.

use super::{Canvas, Journal};
use crate::canvas::apply::{apply, read};
use crate::canvas::damage::Damage;
use crate::journal::Transaction;
use draw_protocol::session::{Id, Session, Stamp, Standing};
use draw_protocol::{Answer, Area, Fault, Request};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A future that is ready when a record of the journal is on the disk.
type Durable = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Draws on a canvas for one client, and tracks which of its calls the journal has not stored yet.
pub(crate) struct Caller<'a> {
    canvas: &'a Canvas,
    /// What was drawn in this turn.
    damage: Damage,
    /// The number of the record that must be on the disk before everything executed so far is durable.
    recorded: u64,
    durable: Option<Durable>,
    /// Set while a write of the journal's file has failed. Ready when all executed calls are on the disk.
    written: Option<Durable>,
    /// The journal had no room to record the start of the session.
    is_unrecorded: bool,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(canvas: &'a Canvas) -> Caller<'a> {
        let damage = canvas.display().framebuffer().no_damage();
        Caller { canvas, damage, recorded: 0, durable: None, written: None, is_unrecorded: false }
    }

    pub(crate) fn canvas(&self) -> &'a Canvas {
        self.canvas
    }

    /// Begins a turn, which ends with [`Turn::end`].
    pub(crate) fn turn(&mut self) -> Turn<'_, 'a> {
        let transaction = Transaction::new(self.canvas.journal().map(Journal::recorder));
        Turn { caller: self, transaction }
    }

    /// Records in the journal that a session was begun or resumed, with the state of `session`, before the client is
    /// answered. `is_durable` is set if the client asked for answers to durable calls only.
    ///
    /// If the journal has no room, a new session is not recorded, and a restart forgets it. [`Receipt::has_room`] tells
    /// when to try again.
    pub(crate) fn record_session(
        &mut self,
        id: Id,
        session: &Session,
        standing: Option<Standing>,
        is_durable: bool,
    ) {
        let Some(journal) = self.canvas.journal() else { return };
        let mut turn = Transaction::new(Some(journal.recorder()));
        let is_taken = turn.record_session(id, session).is_ok();
        if is_taken {
            let sessions = self.canvas.sessions();
            let is_known = |id| sessions.contains(id);
            // Written before the log is released, so that the records of a connection that resumes one of these
            // sessions follow.
            for (id, gone) in journal.mirror().record(id, session.clone(), is_known, sessions.count()) {
                // Without room, the ended session reappears after a restart, until it expires.
                _ = turn.record_session(id, &gone);
            }
        }
        self.is_unrecorded = !is_taken;
        let is_resumed = standing == Some(Standing::Resumed);
        if is_taken || is_durable || is_resumed {
            self.recorded = turn.last().unwrap_or(self.recorded);
        }
        // The calls of a resumed session may still be unwritten, so answers wait for them. A new session waits for the
        // disk in any case.
        if let Some(number) = turn.end()
            && is_resumed
        {
            self.hold_back(number);
        }
    }

    /// Holds all answers back until this record is on the disk.
    fn hold_back(&mut self, number: u64) {
        self.written =
            self.canvas.journal().map(|journal| Box::pin(journal.recorder().until_durable(number)) as _);
    }

    /// Returns whether any answer is held back.
    pub(crate) fn is_held(&self) -> bool {
        self.written.is_some() || self.durable.is_some()
    }

    /// Returns whether no answer may be sent because the journal's file could not be written.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.written.is_some()
    }

    /// Is ready when all executed calls are in the journal's file.
    pub(crate) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(written) = &mut self.written {
            ready!(written.as_mut().poll(cx));
            self.written = None;
        }
        Poll::Ready(())
    }

    /// Begins to wait until all executed calls are on the disk. Returns `false` if they are already.
    pub(crate) fn wait_durable(&mut self) -> bool {
        let recorder = self.canvas.journal().map(Journal::recorder);
        let recorder = recorder.filter(|journal| !journal.has_durable(self.recorded));
        self.durable = recorder.map(|journal| Box::pin(journal.until_durable(self.recorded)) as _);
        self.durable.is_some()
    }

    /// Is ready when the calls that [`Caller::wait_durable`] waits for are on the disk: `true` then, and `false` if it
    /// waits for none.
    pub(crate) fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(durable) = &mut self.durable else { return Poll::Ready(false) };
        ready!(durable.as_mut().poll(cx));
        self.durable = None;
        Poll::Ready(true)
    }
}

/// A turn of a [`Caller`]. With a journal, it holds the lock of the log from its first drawing call on, so no other
/// turn draws meanwhile.
pub(crate) struct Turn<'t, 'a> {
    caller: &'t mut Caller<'a>,
    transaction: Transaction<'a>,
}

/// The result of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    /// The journal had no room to record the session, and has room now: call [`Caller::record_session`] again before
    /// the client is answered.
    pub(crate) has_room: bool,
}

impl Turn<'_, '_> {
    /// Executes a call. `stamp` identifies it within its session.
    ///
    /// # Errors
    /// Those of [`apply`]; [`Code::NoSpace`](draw_protocol::Code::NoSpace) and
    /// [`Code::ShuttingDown`](draw_protocol::Code::ShuttingDown) if the journal cannot be written, in which case
    /// nothing is drawn.
    pub(crate) fn call(&mut self, stamp: Option<Stamp>, request: &Request<'_>) -> Result<Answer, Fault> {
        let entry = self.transaction.record(stamp, request)?;
        let Canvas { display, journal, .. } = self.caller.canvas;
        let result = apply(request, display.framebuffer(), display.pointer(), &mut self.caller.damage);
        if let (Some(_), Some(stamp), Some(journal)) = (entry, stamp, journal) {
            journal.mirror().drawn(stamp, &result);
        }
        result
    }

    /// Orders a read behind the turns of other connections, so that the pixels it returns are in the journal's file, or
    /// this turn is held back with them.
    pub(crate) fn order_read(&mut self, stamp: Option<Stamp>, request: &Request<'_>) {
        // A read is not recorded, so this cannot fail.
        _ = self.transaction.record(stamp, request);
    }

    /// Appends the pixels of `area` to `out`, row by row, 4 bytes each.
    ///
    /// # Errors
    /// [`Code::NoMemory`](draw_protocol::Code::NoMemory) if there is no memory for them.
    pub(crate) fn read(&self, area: Area, out: &mut Vec<u8>) -> Result<(), Fault> {
        read(area, self.caller.canvas.display().framebuffer(), out)
    }

    /// Does the same for rows that `out` has room for, so it cannot fail.
    pub(crate) fn read_into(&self, area: Area, out: &mut Vec<u8>) {
        self.caller.canvas.display().framebuffer().read(area, out);
    }

    /// Ends the turn: writes its records to the journal's file, or holds answers back until they are written, and
    /// publishes the damage.
    pub(crate) fn end(self) -> Receipt {
        let Turn { caller, transaction } = self;
        let last = transaction.last();
        caller.recorded = last.unwrap_or(caller.recorded);
        let unwritten = transaction.end();
        caller.canvas.display().framebuffer().publish(&mut caller.damage);
        if let Some(number) = unwritten {
            caller.hold_back(number);
        }
        Receipt { has_room: caller.is_unrecorded && last.is_some() }
    }
}
