//! A display with a journal in memory, and all pictures that it had.

use super::memory::{Dice, Memory};
use crate::canvas::apply::{apply, replay};
use crate::canvas::display::Display;
use crate::journal::lock::locked;
use crate::journal::record::Entry;
use crate::journal::shared::Core;
use crate::journal::{JournalError, Options, Recorded, Replay};
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Color, Pixel, Request, Size};
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

pub(super) const SIZE: Size = Size { width: 7, height: 5 };

pub(super) type Picture = Vec<u8>;

/// A display that keeps the numbers of its sessions' calls as its sessions, to check that the state survives like the
/// picture.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) display: Display,
    xids: Mutex<Vec<u64>>,
}

impl Kept {
    pub(super) fn xids(&self) -> Vec<u64> {
        locked(&self.xids).clone()
    }

    fn called(&self, session: Option<Stamp>) {
        locked(&self.xids).extend(session.map(|session| session.number));
    }
}

impl Replay for Kept {
    type Rebuilt = Kept;

    fn begin(size: Size, background: Color) -> Result<Kept, Box<dyn Error + Send + Sync>> {
        Ok(Kept { display: Display::new(size, background)?, xids: Mutex::default() })
    }
    fn row(&mut self, y: u32, rgba: &[u8]) {
        let framebuffer = self.display.framebuffer();
        framebuffer.put_image(
            (0, y as i32),
            (framebuffer.size().width, 1),
            rgba,
            &mut framebuffer.no_damage(),
        );
    }
    fn session(&mut self, id: Id, _: &Session) {
        let [.., a, b, c, d, e, f, g, h] = id.0;
        locked(&self.xids).push(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    }
    fn call(&mut self, _: u64, session: Option<Stamp>, request: &Request<'_>) {
        let framebuffer = self.display.framebuffer();
        _ = replay(request, framebuffer, &mut framebuffer.no_damage());
        self.called(session);
    }
    fn finish(self) -> Arc<Kept> {
        Arc::new(self)
    }
}

impl Recorded for Kept {
    fn copy_picture(&self, out: &mut [u8]) {
        self.display.framebuffer().copy_rows(0..self.display.size().height, out);
    }
    fn sessions(&self, visit: &mut dyn FnMut(Id, &Session)) {
        for xid in self.xids() {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&xid.to_be_bytes());
            visit(Id(id), &Session::new(0));
        }
    }
}

/// An open journal without threads: the tests do their work explicitly.
#[derive(Debug)]
pub(super) struct World {
    pub(super) core: Core,
    pub(super) kept: Arc<Kept>,
}

pub(super) fn open_with(storage: &Memory, options: &Options) -> Result<World, JournalError> {
    let storage = Arc::new(storage.clone());
    let (core, kept) = Core::open::<Kept>(Path::new("memory"), storage, options, &mut |_, _| ())?;
    Ok(World { core, kept })
}

pub(super) fn open(storage: &Memory) -> Result<World, JournalError> {
    open_with(storage, &Options { size: Some(SIZE), ..Options::default() })
}

pub(super) fn picture(core: &Core) -> Picture {
    let size = locked(&core.log).owner().size;
    let mut bytes = vec![0; (size.width * size.height * 4) as usize];
    core.display.copy_picture(&mut bytes);
    bytes
}

/// Passes a random call to `then`, some of it outside of the display.
pub(super) fn any_call(dice: &mut Dice, then: impl FnOnce(&Request<'_>)) {
    let color = Color::from_u32(dice.below(1 << 32) as u32);
    let (x, y) = (dice.below(9) as i32 - 1, dice.below(7) as i32 - 1);
    let (width, height) = (dice.below(5) as u32, dice.below(5) as u32);
    match dice.below(6) {
        0 => then(&Request::Clear { color }),
        1 => then(&Request::FillRect { x, y, width, height, color }),
        2 => {
            let rgba: Vec<_> = (0..width * height * 4).map(|_| dice.below(256) as u8).collect();
            then(&Request::PutImage { x, y, width, height, rgba: &rgba });
        }
        3 => {
            let pixels: Vec<_> = (0..dice.below(30))
                .map(|_| {
                    let color = Color::from_u32(dice.below(1 << 32) as u32);
                    Pixel::new(dice.below(9) as u16, dice.below(6) as u16, color)
                })
                .collect();
            then(&Request::DrawPixels { pixels: pixels[..].into() });
        }
        _ => then(&Request::DrawPixel { x, y, color }),
    }
}

impl World {
    /// Returns the picture, while the log is locked.
    fn picture(&self) -> Picture {
        let mut bytes = vec![0; (SIZE.width * SIZE.height * 4) as usize];
        self.kept.copy_picture(&mut bytes);
        bytes
    }

    /// Returns the number of the last accepted call.
    pub(super) fn last(&self) -> u64 {
        locked(&self.core.log).place.next - 1
    }

    /// Runs a turn of `calls` calls, as a connection does. Returns the pictures after each accepted call, and `true` if
    /// all of them are in the file.
    pub(super) fn turn(&self, dice: &mut Dice, calls: u64) -> (Vec<Picture>, bool) {
        let mut log = locked(&self.core.log);
        let now = 1_000 * log.place.next;
        log.begin_transaction(now);
        let mut pictures = Vec::new();
        for _ in 0..calls {
            let number = log.place.next;
            let session = dice.one_in(2).then(|| Stamp {
                session: Id([7; 16]),
                number,
                ack: dice.below(9).min(number - 1),
                digest: dice.below(1 << 40),
            });
            any_call(dice, |request| {
                let before = self.picture();
                let entry = Entry::Call { session, request: *request };
                match self.core.append(&mut log, &entry) {
                    Ok(_) => {
                        let framebuffer = self.kept.display.framebuffer();
                        let pointer = self.kept.display.pointer();
                        _ = apply(request, framebuffer, pointer, &mut framebuffer.no_damage());
                        self.kept.called(session);
                        pictures.push(self.picture());
                    }
                    Err(fault) => {
                        assert_eq!(fault.code.as_str(), "no_space");
                        assert_eq!(self.picture(), before, "nothing is drawn");
                    }
                }
            });
        }
        self.core.end_transaction(&mut log);
        let is_written = log.written().is_some();
        (pictures, is_written)
    }
}
