//! Sends images from the program's memory, without a copy.

use super::flight::single;
use super::{Connection, Origin};
use crate::codec::checksum::{self, Checksum};
use crate::codec::envelope;
use crate::fault::Fault;
use crate::table::Request;
use std::io::IoSlice;

/// Bytes that a call sends and that were not copied: see [`Connection::call_lending`].
#[derive(Debug, Default)]
#[must_use = "what is not sent of it is missing in the middle of a message"]
pub struct Lent<'a> {
    /// All of them until the call is over: what was sent may have to be sent once more.
    pieces: Vec<Piece<'a>>,
    /// How many are sent, and how many bytes of the next one and of what goes before it.
    sent: usize,
    begun: usize,
    /// Bytes of the connection that go before the last piece, counted from what was unsent when the call was made.
    own: usize,
}

/// The end of a request, which is never empty.
#[derive(Debug)]
struct Piece<'a> {
    /// Number of the request.
    request: u64,
    /// Bytes of the connection that go before it, and behind the piece before it.
    before: usize,
    bytes: &'a [u8],
}

/// Slices that one write may carry: beyond some tens the system takes no more, and two of them are a band of an image.
const SLICES: usize = 16;

impl Connection {
    /// Makes a call without a copy of its image. The bytes to send are then those of
    /// [`Connection::poll_transmit_lent`], until the call is done and nothing is left of what was lent, or that is
    /// [kept](Connection::keep). While there is no connection the image is copied after all.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn call_lending<'a>(
        &mut self,
        request: &Request<'a>,
        origin: impl Into<Origin>,
    ) -> Result<(u64, Lent<'a>), Fault> {
        let mut lent = Lent::default();
        if single(request).is_some() {
            return Ok((self.call(request, origin)?, lent));
        }
        // What is lent lies between the bytes of one buffer.
        let is_one = !self.out.is_leading() && self.out.unsent().len() == self.out.unsent_len();
        let lending = (self.out.is_open() && is_one).then_some(&mut lent);
        let number = self.make(request, origin.into(), lending)?;
        Ok((number, lent))
    }

    /// Returns the first bytes to send of a call that was made by [`Connection::call_lending`], and of those before and behind it.
    pub fn poll_transmit_lent<'s>(&'s mut self, lent: &'s Lent<'_>) -> Vec<IoSlice<'s>> {
        lent.slices(self.poll_transmit())
    }

    /// Notes that `n` bytes of [`Connection::poll_transmit_lent`] have been sent.
    pub fn handle_transmitted_lent(&mut self, lent: &mut Lent<'_>, n: usize) {
        let own = lent.advance(n);
        self.handle_transmitted(own);
    }

    /// Copies what was lent and is not sent, or may have to be sent once more, since its owner takes it back:
    /// [`Connection::poll_transmit`] continues with it. To be called before [`Connection::handle_disconnected`]. Nothing is copied of a
    /// call that is done.
    pub fn keep(&mut self, lent: Lent<'_>) {
        let Some(last) = lent.pieces.last() else { return };
        let (applied, keeps) = (self.flight.applied(), self.out.keeps());
        let is_needless = |piece: &&Piece<'_>| !keeps || piece.request <= applied;
        let first = lent.pieces[..lent.sent].iter().take_while(is_needless).count();
        let (pieces, is_sent) = (&lent.pieces[first..], &lent.pieces[first..lent.sent]);
        if pieces.is_empty() {
            return;
        }
        let begun = pieces.get(is_sent.len()).map_or(0, |piece| lent.begun.saturating_sub(piece.before));
        let sent = is_sent.iter().map(|piece| piece.bytes.len()).sum::<usize>() + begun;
        // Counted from the end: at the front there may be less than there was.
        let mut behind =
            self.flight.bytes_after(last.request) + pieces.iter().map(|piece| piece.before).sum::<usize>();
        let placed = pieces.iter().map(|piece| {
            behind -= piece.before;
            (behind, piece.bytes)
        });
        self.out.insert(placed, sent, self.flight.last_number());
    }
}

impl<'a> Lent<'a> {
    /// Returns whether all of it has been sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.pieces.len()
    }

    /// Adds a piece that ends a request, behind the first `own` of the connection's unsent bytes.
    pub(super) fn push(&mut self, request: u64, own: usize, bytes: &'a [u8]) {
        if !bytes.is_empty() {
            self.pieces.push(Piece { request, before: own - self.own, bytes });
            self.own = own;
        }
    }

    /// Returns the first bytes to send, of both, in order.
    fn slices<'s>(&'s self, mut own: &'s [u8]) -> Vec<IoSlice<'s>> {
        let mut slices = Vec::with_capacity(SLICES);
        let (unsent, mut begun) = (&self.pieces[self.sent..], self.begun);
        for piece in unsent.iter().take(SLICES / 2) {
            let (before, after) = own.split_at(piece.before.saturating_sub(begun));
            let bytes = &piece.bytes[begun.saturating_sub(piece.before)..];
            slices.extend([before, bytes].into_iter().filter(|slice| !slice.is_empty()).map(IoSlice::new));
            (own, begun) = (after, 0);
        }
        if unsent.len() < SLICES / 2 && !own.is_empty() {
            slices.push(IoSlice::new(own));
        }
        slices
    }

    /// Notes that `n` bytes have been sent. Returns how many of them were the connection's own.
    fn advance(&mut self, mut n: usize) -> usize {
        let mut own = 0;
        while let Some(piece) = self.pieces.get(self.sent) {
            let begun = self.begun + n.min(piece.before + piece.bytes.len() - self.begun);
            own += begun.min(piece.before) - self.begun.min(piece.before);
            n -= begun - self.begun;
            self.begun = begun;
            if begun < piece.before + piece.bytes.len() {
                return own;
            }
            (self.sent, self.begun) = (self.sent + 1, 0);
        }
        own + n
    }
}

/// Writes all of a `put_image` but the bytes of its image, which come last. Returns its length so far.
pub(super) fn write_request_lending(
    out: &mut Vec<u8>,
    number: u64,
    request: &Request<'_>,
    rgba: &[u8],
    checksum: Option<Checksum>,
) -> usize {
    let start = out.len();
    let open = checksum::begin(out, checksum);
    envelope::write_request_head(out, number as u32, request.method().name());
    request.encode_parameters_lending(out);
    checksum::finish_lending(out, open, rgba);
    out.len() - start
}
