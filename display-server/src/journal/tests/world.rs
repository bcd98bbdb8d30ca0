//! A display on a disk in memory, and the pictures that it had.

use crate::apply::apply;
use crate::journal::memory::{Dice, Memory};
use crate::journal::shared::Core;
use crate::journal::sync::locked;
use crate::journal::{Companion, Entry, JournalError, Options};
use draw_protocol::session::{Id, Stamp};
use draw_protocol::{Answer, Color, Fault, Pixel, Request, Size};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub(super) const SIZE: Size = Size { width: 7, height: 5 };

pub(super) type Picture = Vec<u8>;

/// Keeps the numbers of the sessions' calls, to see that a state survives like the picture.
#[derive(Debug, Default)]
pub(super) struct Kept {
    xids: Mutex<Vec<u64>>,
}

impl Kept {
    pub(super) fn xids(&self) -> Vec<u64> {
        locked(&self.xids).clone()
    }
}

impl Companion for Kept {
    fn restore(&self, state: &[u8]) -> Result<(), String> {
        let (xids, rest) = state.as_chunks();
        assert!(rest.is_empty());
        *locked(&self.xids) = xids.iter().map(|&xid| u64::from_be_bytes(xid)).collect();
        Ok(())
    }
    fn replay(&self, _: u64, entry: &Entry<'_>, _: &Result<Answer, Fault>) {
        locked(&self.xids).extend(entry.session.map(|session| session.number));
    }
    fn save(&self) -> Vec<u8> {
        self.xids().into_iter().flat_map(u64::to_be_bytes).collect()
    }
}

/// A journal that is open, without threads: what they do is done when the test says so.
#[derive(Debug)]
pub(super) struct World {
    pub(super) core: Core,
    pub(super) kept: Arc<Kept>,
}

pub(super) fn open_with(storage: &Memory, options: &Options) -> Result<World, JournalError> {
    let kept = Arc::new(Kept::default());
    let storage = Arc::new(storage.clone());
    let core = Core::open(Path::new("memory"), storage, options, kept.clone(), &mut |_, _| ())?;
    Ok(World { core, kept })
}

pub(super) fn open(storage: &Memory) -> Result<World, JournalError> {
    open_with(storage, &Options { size: Some(SIZE), ..Options::default() })
}

pub(super) fn picture(core: &Core) -> Picture {
    let (framebuffer, size) = (core.display.framebuffer(), core.display.size());
    let mut bytes = Vec::new();
    framebuffer.read(size.clip(0, 0, size.width, size.height), &mut bytes);
    bytes
}

/// A call of any kind, some of it outside.
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
    /// The number of the last call that was taken.
    pub(super) fn last(&self) -> u64 {
        locked(&self.core.log).place.next - 1
    }

    /// A turn of so many calls, as a connection does it. Answers the pictures after each that was taken, and whether
    /// all of them are in the file.
    pub(super) fn turn(&self, dice: &mut Dice, calls: u64) -> (Vec<Picture>, bool) {
        let mut log = locked(&self.core.log);
        let now = 1_000 * log.place.next;
        log.begin_turn(now);
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
                let before = picture(&self.core);
                let entry = Entry { session, request: *request, exceptions: &[] };
                match self.core.append(&mut log, &entry) {
                    Ok(_) => {
                        let framebuffer = self.core.display.framebuffer();
                        let pointer = self.core.display.pointer();
                        let result = apply(request, framebuffer, pointer, &mut framebuffer.no_damage());
                        self.kept.replay(0, &entry, &result);
                        pictures.push(picture(&self.core));
                    }
                    Err(fault) => {
                        assert_eq!(fault.code.as_str(), "no_space");
                        assert_eq!(picture(&self.core), before, "nothing is drawn");
                    }
                }
            });
        }
        self.core.end_turn(&mut log);
        let is_written = log.written().is_some();
        (pictures, is_written)
    }
}
