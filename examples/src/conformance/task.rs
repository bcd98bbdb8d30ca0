//! The task that a client performs in every scenario, and what has to come of it.

use display_server::Display;
use draw_protocol::{Area, Size};

/// The display of each scenario.
pub const SIZE: Size = Size { width: 64, height: 48 };

/// The colour of each pixel before the task.
pub const BACKGROUND: u32 = 0x1234_56ff;

/// How many counters there are, and how often each is added to. Bit b of a counter is its addition b, so the final value shows
/// which request was executed never, or twice.
pub const COUNTERS: u32 = 8;
const BITS: u32 = 25;

/// How many `add_pixel` calls the task makes.
pub const ADDITIONS: u32 = COUNTERS * BITS;

/// The value of each counter at the end.
pub const COUNTED: u32 = (1 << BITS) - 1;

/// The task, in words.
pub const TEXT: &str = "\
The client program connects to the address in the environment variable DRAW_DISPLAY (HOST:PORT), uses what DRAW_LEVEL
names (plain, hello, session or checks), performs these steps in order, and prints these lines on standard output:

  1. get_size                                      print `size WIDTHxHEIGHT`
  2. clear(0)
  3. for x = 0 .. 63: draw_pixel(x, 0, color(x))   color(x) is x * 0x03020100 + 0xff
  4. one call draw_pixels: (x, 1, color(x)) for x = 0 .. 64
     The last pixel is outside.
  5. for k = 0 .. 199: add_pixel(k mod 8, 2, 2^(k div 8))
  6. get_pixel(3, 2)                               print `pixel ` and the number in 8 hexadecimal digits
  7. get_image(0, 2, 8, 1)                         print `image ` and the bytes in 64 hexadecimal digits
  8. sync                                          print `done`
  9. end the session, if there is one; close; exit with status 0

For each call that fails with a fault, at whatever time its fault arrives, the client prints `error CODE` (in step 4:
`error out_of_bounds`) and continues. An `error` line may come at any place among the others. If the connection is lost
for good, or the session with drawing calls whose outcome is unknown, the client exits with another status than 0. If
only the outcome of a question is unknown, it may also ask again. Other lines, and standard error, are not judged.

DRAW_LEVEL is the level of the scenario: a client that is judged at `checks` is also started with `plain`, `hello` and
`session`. `hello` includes `plain`, `session` includes `hello`, and `checks` includes `session`. Checksums are used only
if DRAW_LEVEL is `checks`; at the other levels the judge rewrites messages. A client may always do more than the level
asks for: one that always uses a session is judged by the rules of sessions everywhere.

A question that fails with `answer_lost` is asked again, and its failure is not printed: the client itself may do so, or
the program.

In the optional scenario `wrap`, DRAW_FIRST_NUMBER is set too. A client that can start its numbers anywhere begins its
session with this number: its first `hello` has `attempt` 2, `ack` DRAW_FIRST_NUMBER - 1 and `next` DRAW_FIRST_NUMBER,
and no `instance`, `incarnation` or `drew`; `born` is absent or 0.
";

/// Returns the colour of column `x` in rows 0 and 1.
pub fn color(x: u32) -> u32 {
    x * 0x0302_0100 + 0xff
}

/// Returns the lines that the client has to print, but for its errors.
pub fn lines() -> [String; 4] {
    [
        format!("size {}x{}", SIZE.width, SIZE.height),
        format!("pixel {COUNTED:08x}"),
        format!("image {}", format!("{COUNTED:08x}").repeat(COUNTERS as usize)),
        "done".to_owned(),
    ]
}

/// Returns the colour that a pixel has at the end.
fn expected(x: u32, y: u32) -> u32 {
    match y {
        0 | 1 => color(x),
        2 if x < COUNTERS => COUNTED,
        _ => 0,
    }
}

fn pixels(display: &Display) -> Vec<u32> {
    let mut bytes = Vec::new();
    let area = Area { x: 0, y: 0, width: SIZE.width, height: SIZE.height };
    display.framebuffer().read(area, &mut bytes);
    bytes.chunks_exact(4).map(|rgba| u32::from_be_bytes([rgba[0], rgba[1], rgba[2], rgba[3]])).collect()
}

/// Compares the picture with that of the task. Returns what differs first, or a counter before anything else.
pub fn difference(display: &Display) -> Option<(String, String)> {
    let pixels = pixels(display);
    let at = |x: u32, y: u32| pixels[(y * SIZE.width + x) as usize];
    let counters = (0..COUNTERS).map(|x| (x, 2));
    let all = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
    let (x, y) = counters.chain(all).find(|&(x, y)| at(x, y) != expected(x, y))?;
    let (is, should) = (at(x, y), expected(x, y));
    let why = if y == 2 && x < COUNTERS {
        if is > should { ": some addition was executed twice" } else { ": some addition was not executed" }
    } else {
        ""
    };
    Some((format!("the pixel ({x}, {y}) is {should:08x} at the end"), format!("it is {is:08x}{why}")))
}
