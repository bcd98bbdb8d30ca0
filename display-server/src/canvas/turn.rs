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

/// Ready when a record of the journal is on the disk.
type Durable = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One who draws on a canvas, and what of its calls the journal does not have yet.
pub(crate) struct Caller<'a> {
    canvas: &'a Canvas,
    /// What was drawn in this turn.
    damage: Damage,
    /// The last record that has to be on the disk for what was executed to be durable.
    recorded: u64,
    durable: Option<Durable>,
    /// While a write of the journal's file has failed: ready when what was executed is on the disk.
    written: Option<Durable>,
    /// There was no room in the journal to say that the session was taken up.
    is_unkept: bool,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(canvas: &'a Canvas) -> Caller<'a> {
        let damage = canvas.display().framebuffer().no_damage();
        Caller { canvas, damage, recorded: 0, durable: None, written: None, is_unkept: false }
    }

    pub(crate) fn canvas(&self) -> &'a Canvas {
        self.canvas
    }

    /// Begins a turn. It ends with [`Turn::end`].
    pub(crate) fn turn(&mut self) -> Turn<'_, 'a> {
        let transaction = Transaction::new(self.canvas.journal().map(Journal::recorder));
        Turn { caller: self, transaction }
    }

    /// Writes into the journal that a session was taken up, with what `session` is then, before anything is said of it. A session whose
    /// client wants to hear of nothing before it is durable says so with `is_durable`.
    ///
    /// If the journal has no room, a new session is not in it, and a restart forgets the session. [`Receipt::has_room`] says when to
    /// try again.
    pub(crate) fn take_up(
        &mut self,
        id: Id,
        session: &Session,
        standing: Option<Standing>,
        is_durable: bool,
    ) {
        let Some(journal) = self.canvas.journal() else { return };
        let mut turn = Transaction::new(Some(journal.recorder()));
        let is_taken = turn.take_up(id, session).is_ok();
        if is_taken {
            let sessions = self.canvas.sessions();
            let is_known = |id| sessions.contains(id);
            // Written before the log is released, so that a connection that takes one of them up again comes behind it.
            for (id, gone) in journal.mirror().taken_up(id, session.clone(), is_known, sessions.count()) {
                // Without room it comes back once more after a restart, for as long as a session waits.
                _ = turn.take_up(id, &gone);
            }
        }
        self.is_unkept = !is_taken;
        let is_resumed = standing == Some(Standing::Resumed);
        if is_taken || is_durable || is_resumed {
            self.recorded = turn.last().unwrap_or(self.recorded);
        }
        // Of a session that is resumed everything is in the file already, or will be. One that begins waits for the disk anyhow.
        if let Some(number) = turn.end()
            && is_resumed
        {
            self.hold_back(number);
        }
    }

    /// Holds everything back until this record is on the disk.
    fn hold_back(&mut self, number: u64) {
        self.written =
            self.canvas.journal().map(|journal| Box::pin(journal.recorder().until_durable(number)) as _);
    }

    /// Whether anything is held back.
    pub(crate) fn is_held(&self) -> bool {
        self.written.is_some() || self.durable.is_some()
    }

    /// Whether nothing may be said, since the journal's file could not be written.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.written.is_some()
    }

    /// Ready when what was executed is in the journal's file.
    pub(crate) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(written) = &mut self.written {
            ready!(written.as_mut().poll(cx));
            self.written = None;
        }
        Poll::Ready(())
    }

    /// Begins to wait until all that was executed is on the disk. Returns whether it is not.
    pub(crate) fn wait_durable(&mut self) -> bool {
        let recorder = self.canvas.journal().map(Journal::recorder);
        let recorder = recorder.filter(|journal| !journal.has_durable(self.recorded));
        self.durable = recorder.map(|journal| Box::pin(journal.until_durable(self.recorded)) as _);
        self.durable.is_some()
    }

    /// Ready when what was waited for with [`Caller::wait_durable`] is on the disk, or nothing was; whether something was.
    pub(crate) fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(durable) = &mut self.durable else { return Poll::Ready(false) };
        ready!(durable.as_mut().poll(cx));
        self.durable = None;
        Poll::Ready(true)
    }
}

/// A turn of a [`Caller`]. With a journal it has the log from its first drawing call on, so that others draw before or after it.
pub(crate) struct Turn<'t, 'a> {
    caller: &'t mut Caller<'a>,
    transaction: Transaction<'a>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    /// A session was taken up without room in the journal, and there is room now: [`Caller::take_up`] is to be called again, before
    /// anything is said.
    pub(crate) has_room: bool,
}

impl Turn<'_, '_> {
    /// Executes a call. `stamp` is what it is in its session.
    ///
    /// # Errors
    /// Of [`apply`]; [`Code::NoSpace`](draw_protocol::Code::NoSpace) and
    /// [`Code::ShuttingDown`](draw_protocol::Code::ShuttingDown) if the journal cannot be written: then nothing is drawn.
    pub(crate) fn call(&mut self, stamp: Option<Stamp>, request: &Request<'_>) -> Result<Answer, Fault> {
        let entry = self.transaction.record(stamp, request)?;
        let Canvas { display, journal, .. } = self.caller.canvas;
        let result = apply(request, display.framebuffer(), display.pointer(), &mut self.caller.damage);
        if let (Some(_), Some(stamp), Some(journal)) = (entry, stamp, journal) {
            journal.mirror().drawn(stamp, &result);
        }
        result
    }

    /// Waits for the turns of others, so that what this question answers is in the journal's file, or will be.
    pub(crate) fn ask(&mut self, stamp: Option<Stamp>, question: &Request<'_>) {
        // It changes nothing, so that nothing can be wrong with it.
        _ = self.transaction.record(stamp, question);
    }

    /// Appends the pixels of `area` to `out`, row by row, 4 bytes each.
    ///
    /// # Errors
    /// [`Code::NoMemory`](draw_protocol::Code::NoMemory) if there is no memory for them.
    pub(crate) fn read(&self, area: Area, out: &mut Vec<u8>) -> Result<(), Fault> {
        read(area, self.caller.canvas.display().framebuffer(), out)
    }

    /// The same for rows that `out` has room for.
    pub(crate) fn read_into(&self, area: Area, out: &mut Vec<u8>) {
        self.caller.canvas.display().framebuffer().read(area, out);
    }

    /// Ends the turn: all of it is in the journal's file before anybody is told, or held back until it is; and presenters hear of it.
    pub(crate) fn end(self) -> Receipt {
        let Turn { caller, transaction } = self;
        let last = transaction.last();
        caller.recorded = last.unwrap_or(caller.recorded);
        let unwritten = transaction.end();
        caller.canvas.display().framebuffer().publish(&mut caller.damage);
        if let Some(number) = unwritten {
            caller.hold_back(number);
        }
        Receipt { has_room: caller.is_unkept && last.is_some() }
    }
}
