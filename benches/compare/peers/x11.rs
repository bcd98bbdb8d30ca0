//! X11: x11rb over TCP to an Xvfb that this program starts.

use super::{Program, opaque};
use crate::drawings::color;
use crate::drawings::{PIXELS, in_turn, same, two_images};
use crate::failure::{Context, Failure, Result};
use crate::measure::{Ends, Load, Unit, Wire};
use crate::ours::check;
use crate::placement::Place;
use crate::row::Row;
use crate::socket::prepared;
use crate::threads::{self, Side};
use crate::wire::{FRAME, SIZE};
use draw_client::{Color, Pixel, Size};
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::rc::Rc;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::xproto::{ChangeGCAux, ConnectionExt, CoordMode, CreateGCAux, ImageFormat, Point};
use x11rb::rust_connection::{DefaultStream, RustConnection};

/// The port of display 0; the displays after it use the ports after it.
const PORT: u16 = 6000;

/// Bytes of a PutImage before its pixels, including the long form of its length.
const HEAD: usize = 28;

/// Bytes of a PolyPoint with one point, and of the request whose answer confirms its execution.
const CHECKED_POINT: f64 = 16.0 + 4.0;

/// Number of points drawn before the measurement.
const WARM: usize = 20;

/// An X server.
pub(crate) struct X11 {
    program: Program,
    port: u16,
}

impl X11 {
    pub(super) fn start(place: Place) -> Result<X11, String> {
        let mut command = Command::new("Xvfb");
        // It takes a free display and prints its number when it is ready. It accepts clients on this machine.
        command.args(["-displayfd", "1", "-listen", "tcp", "-nolisten", "unix", "-extension", "GLX"]);
        command.args(["-screen", "0", "1280x720x24", "-noreset"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = match Program::start(place, &mut command) {
            Ok(program) => program,
            Err(_) if !is_installed() => return Err("Xvfb is not installed".into()),
            Err(failure) => return Err(failure.to_string()),
        };
        let mut line = String::new();
        let output = program.0.stdout.take().ok_or("Xvfb has no output")?;
        BufReader::new(output).read_line(&mut line).map_err(|error| format!("asking Xvfb: {error}"))?;
        let display: u16 = line.trim().parse().map_err(|_| "Xvfb does not start".to_owned())?;
        Ok(X11 { program, port: PORT + display })
    }

    /// Creates a drawing surface on a new connection.
    fn canvas(self: &Rc<Self>, size: Size) -> Result<Canvas> {
        let stream = prepared(TcpStream::connect(("127.0.0.1", self.port)))?;
        let (stream, _) = DefaultStream::from_tcp_stream(stream).context("connecting to Xvfb")?;
        let connection = RustConnection::connect_to_stream(stream, 0).context("connecting to Xvfb")?;
        let screen = &connection.setup().roots[0];
        let (root, depth) = (screen.root, screen.root_depth);
        if depth != 24 {
            return Err(Failure::new(format!("Xvfb has a depth of {depth} bits, not 24")));
        }
        let ids = || connection.generate_id().context("asking Xvfb for a number");
        let (pixmap, gc) = (ids()?, ids()?);
        let (width, height) = (size.width as u16, size.height as u16);
        let made = connection.create_pixmap(depth, pixmap, root, width, height).context("create_pixmap")?;
        made.check().context("create_pixmap")?;
        let made = connection.create_gc(gc, pixmap, &CreateGCAux::new()).context("create_gc")?;
        made.check().context("create_gc")?;
        Ok(Canvas { connection, pixmap, gc, size, server: Rc::clone(self) })
    }

    /// Draws one point before the next. All have the same colour, since another colour would take another request.
    pub(super) fn call(self: &Rc<Self>, name: &str, pixels: &Rc<[Pixel]>) -> Result<Row> {
        let (canvas, pixels) = (self.canvas(SIZE)?, Rc::clone(pixels));
        let load = Load { calls: pixels.len(), pixels: pixels.len() };
        Ok(Row::new(name, Unit::Latency, load, canvas.ends(CHECKED_POINT), move |watch, salt| {
            let ink = Color { a: 255, ..color(salt, 0) };
            canvas.set_color(ink)?;
            pixels.iter().take(WARM).try_for_each(|pixel| canvas.draw_point(pixel))?;
            watch.each(pixels.iter(), |pixel| canvas.draw_point(pixel))?;
            let pixels: Vec<_> = pixels.iter().map(|pixel| Pixel { color: ink, ..*pixel }).collect();
            canvas.check(&pixels)
        }))
    }

    /// Draws images of one pixel, since a point of another colour takes two requests.
    pub(super) fn singles(self: &Rc<Self>, name: &str, pixels: &Rc<[Pixel]>) -> Result<Row> {
        let (canvas, pixels) = (self.canvas(SIZE)?, Rc::clone(pixels));
        let load = Load { calls: pixels.len(), pixels: pixels.len() };
        Ok(Row::new(name, Unit::Calls, load, canvas.ends((HEAD - 4 + 4) as f64), move |watch, salt| {
            let pixels = opaque(&pixels, salt);
            canvas.wait()?;
            watch.whole(|| {
                for pixel in &pixels {
                    let at = (pixel.x as i16, pixel.y as i16);
                    canvas.put(at, (1, 1), &bytes(pixel.color))?;
                }
                canvas.wait()
            })?;
            canvas.check(&pixels)
        }))
    }

    /// Puts whole frames, split to fit the server's longest request.
    pub(super) fn put_frames(self: &Rc<Self>, name: &str, load: Load) -> Result<Row> {
        let canvas = self.canvas(FRAME)?;
        let (width, row) = (FRAME.width as u16, 4 * FRAME.width as usize);
        let rows = (canvas.connection.maximum_request_bytes() - HEAD) / row;
        Ok(Row::new(name, Unit::Pixels, load, canvas.ends(4.0), move |watch, salt| {
            let images = two_images(salt).map(|image| native(&image));
            let frames = in_turn(&images, load.calls);
            canvas.wait()?;
            watch.whole(|| {
                for frame in &frames {
                    for (i, band) in frame.chunks(rows * row).enumerate() {
                        let height = (band.len() / row) as u16;
                        canvas.put((0, (i * rows) as i16), (width, height), band)?;
                    }
                }
                canvas.wait()
            })?;
            same(&colors(frames[load.calls - 1]), &colors(&canvas.image()?))
        }))
    }

    pub(super) fn get_frames(self: &Rc<Self>, name: &str, load: Load) -> Result<Row> {
        let canvas = self.canvas(FRAME)?;
        Ok(Row::new(name, Unit::Pixels, load, canvas.ends(4.0), move |watch, salt| {
            let places: Vec<_> = (0..FRAME.height as u16)
                .map(|y| Pixel::new(y, y, Color { a: 255, ..color(salt, y.into()) }))
                .collect();
            for pixel in &places {
                canvas.put((pixel.x as i16, pixel.y as i16), (1, 1), &bytes(pixel.color))?;
            }
            canvas.wait()?;
            let mut got = Vec::new();
            watch.whole(|| {
                (0..load.calls).try_for_each(|_| {
                    got = canvas.image()?;
                    Ok(())
                })
            })?;
            if got.len() != 4 * PIXELS {
                return Err(Failure::new(format!("an image of {} bytes came back", got.len())));
            }
            check(FRAME, &places, |x, y| shown(&got, FRAME, x, y))
        }))
    }
}

fn is_installed() -> bool {
    let tried = Command::new("Xvfb").arg("-help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    !tried.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// A pixmap, which Xvfb treats as it does a window.
struct Canvas {
    connection: RustConnection,
    pixmap: u32,
    gc: u32,
    size: Size,
    server: Rc<X11>,
}

impl Canvas {
    fn ends(&self, bytes: f64) -> Ends {
        Ends {
            near: Side::of_threads(threads::current()),
            far: Side::of_process(self.server.program.0.id() as threads::Id),
            wire: Wire::Each(bytes),
        }
    }

    fn set_color(&self, color: Color) -> Result<()> {
        let change = ChangeGCAux::new().foreground(u32::from_le_bytes(bytes(color)));
        self.connection.change_gc(self.gc, &change).context("change_gc").map(drop)
    }

    fn draw_point(&self, pixel: &Pixel) -> Result<()> {
        let point = Point { x: pixel.x as i16, y: pixel.y as i16 };
        let drawn = self.connection.poly_point(CoordMode::ORIGIN, self.pixmap, self.gc, &[point]);
        drawn.context("poly_point")?.check().context("poly_point")
    }

    fn put(&self, (x, y): (i16, i16), (width, height): (u16, u16), data: &[u8]) -> Result<()> {
        let put = self.connection.put_image(
            ImageFormat::Z_PIXMAP,
            self.pixmap,
            self.gc,
            width,
            height,
            x,
            y,
            0,
            24,
            data,
        );
        put.context("put_image").map(drop)
    }

    /// Waits for an answer: everything before it has been executed.
    fn wait(&self) -> Result<()> {
        let asked = self.connection.get_input_focus().context("get_input_focus")?;
        asked.reply().context("get_input_focus").map(drop)
    }

    fn image(&self) -> Result<Vec<u8>> {
        let (width, height) = (self.size.width as u16, self.size.height as u16);
        let asked =
            self.connection.get_image(ImageFormat::Z_PIXMAP, self.pixmap, 0, 0, width, height, u32::MAX);
        asked.context("get_image")?.reply().context("get_image").map(|reply| reply.data)
    }

    fn check(&self, pixels: &[Pixel]) -> Result<()> {
        let image = self.image()?;
        check(self.size, pixels, |x, y| shown(&image, self.size, x, y))
    }
}

/// Returns a pixel in Xvfb's format: blue, green, red, and an unused byte.
fn bytes(color: Color) -> [u8; 4] {
    let [r, g, b, _] = color.to_bytes();
    [b, g, r, 0]
}

fn native(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0], 0]).collect()
}

/// Returns the pixels without the unused byte.
fn colors(image: &[u8]) -> Vec<u8> {
    image.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn shown(image: &[u8], size: Size, x: u16, y: u16) -> Option<Color> {
    let at = 4 * (usize::from(y) * size.width as usize + usize::from(x));
    image.get(at..at + 4).map(|pixel| Color::rgba(pixel[2], pixel[1], pixel[0], 255))
}
