//! Other programs that do the same work. The table names a missing peer, with the reason.

#[cfg(not(feature = "peers"))]
mod absent;
mod breakwater;
#[cfg(feature = "peers")]
mod tarpc;
#[cfg(feature = "peers")]
mod x11;

use crate::drawings::painted;
use crate::failure::{Context, Result};
use crate::measure::{Load, Unit};
use crate::placement::Place;
use crate::row::Row;
use benches::chart::Kind;
use breakwater::Breakwater;
use draw_client::{Color, Pixel};
use std::process::{Child, Command};
use std::rc::Rc;
use std::thread;

#[cfg(not(feature = "peers"))]
use absent::{Absent as X11, Absent as Tarpc};
#[cfg(feature = "peers")]
use {tarpc::Tarpc, x11::X11};

// Rows that targets refer to.
pub(crate) const X11_PUT_PIXEL: &str = "x11rb put_image, 1x1 each";
pub(crate) const X11_PUT_FRAME: &str = "x11rb put_image";
pub(crate) const X11_GET_FRAME: &str = "x11rb get_image";
pub(crate) const TARPC_LOOP: &str = "tarpc, 1,000 in flight";
pub(crate) const BREAKWATER: &str = "breakwater, binary PB";

/// The peers' servers of one placement, or the reason why one is missing.
pub(crate) struct Peers {
    x11: Result<Rc<X11>, String>,
    tarpc: Result<Rc<Tarpc>, String>,
    breakwater: Result<Rc<Breakwater>, String>,
}

impl Peers {
    pub(crate) fn start(place: Place) -> Peers {
        Peers {
            x11: X11::start(place).map(Rc::new),
            tarpc: Tarpc::start(place).map(Rc::new),
            breakwater: Breakwater::start(place).map(Rc::new),
        }
    }

    /// Returns rows that draw one pixel and wait for it before the next.
    pub(crate) fn calls(&self, pixels: &Rc<[Pixel]>) -> Vec<Row> {
        let unit = Unit::Latency;
        vec![
            row("x11rb poly_point, checked", unit, &self.x11, |x11, name| x11.call(name, pixels)),
            row("tarpc call", unit, &self.tarpc, |tarpc, name| tarpc.call(name, pixels)),
        ]
    }

    /// Returns rows that draw each pixel with its own colour, without waiting. Slow peers draw `fewer`.
    pub(crate) fn singles(&self, pixels: &Rc<[Pixel]>, fewer: &Rc<[Pixel]>) -> Vec<Row> {
        let unit = Unit::Calls;
        vec![
            row(X11_PUT_PIXEL, unit, &self.x11, |x11, name| x11.singles(name, pixels)),
            row(TARPC_LOOP, unit, &self.tarpc, |tarpc, name| tarpc.singles(name, fewer)),
        ]
    }

    /// Returns a row that draws many pixels at once.
    pub(crate) fn batches(&self, pixels: &Rc<[Pixel]>, passes: usize, connections: usize) -> Row {
        row(BREAKWATER, Unit::Pixels, &self.breakwater, |breakwater, name| {
            breakwater.batches(name, pixels, passes, connections)
        })
    }

    pub(crate) fn put_frames(&self, load: Load) -> Row {
        row(X11_PUT_FRAME, Unit::Pixels, &self.x11, |x11, name| x11.put_frames(name, load))
    }

    pub(crate) fn get_frames(&self, load: Load) -> Row {
        row(X11_GET_FRAME, Unit::Pixels, &self.x11, |x11, name| x11.get_frames(name, load))
    }
}

fn row<P>(
    name: &str,
    unit: Unit,
    peer: &Result<Rc<P>, String>,
    make: impl FnOnce(&Rc<P>, &str) -> Result<Row>,
) -> Row {
    let made = match peer {
        Ok(peer) => make(peer, name).map_err(|failure| failure.to_string()),
        Err(reason) => Err(reason.clone()),
    };
    made.unwrap_or_else(|reason| Row::missing(name, unit, &reason)).kind(Kind::Peer)
}

/// Returns the pixels of a turn for a peer without alpha.
fn opaque(pixels: &[Pixel], salt: u32) -> Vec<Pixel> {
    let opaque = |pixel: Pixel| Pixel { color: Color { a: 255, ..pixel.color }, ..pixel };
    painted(pixels, salt).into_iter().map(opaque).collect()
}

/// The process of a peer, killed on drop.
struct Program(Child);

impl Program {
    /// Starts the process at the far end: a process inherits the placement of the thread that starts it.
    fn start(place: Place, command: &mut Command) -> Result<Program> {
        thread::scope(|scope| {
            let start = || {
                place.enter_far()?;
                let name = command.get_program().to_owned();
                command.spawn().context(format_args!("starting {}", name.display())).map(Program)
            };
            scope.spawn(start).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may already have ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
