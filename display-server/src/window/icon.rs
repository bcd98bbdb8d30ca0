//! The icon of a window: a display with an orange circle, in large pixels.

use tracing::debug;
use winit::window::Icon;

/// The picture. Each letter is a square of [`SCALE`] pixels: `#` the frame, ` ` the background of a display, `o` orange, `b`
/// blue, `.` nothing.
const PICTURE: [&str; 16] = [
    "................",
    "################",
    "#              #",
    "#     oooo     #",
    "#    oooooo    #",
    "#   oooooooo   #",
    "#   oooooooo   #",
    "#   oooooooo   #",
    "#   oooooooo   #",
    "#    oooooo    #",
    "#     oooo  bb #",
    "#          bbbb#",
    "#         bbbbb#",
    "################",
    "......####......",
    "....########....",
];

/// Icons are shown with up to 64 pixels a side, and shrunk where they are smaller.
const SCALE: usize = 4;

/// Returns the icon. `None` if the library refuses it.
pub(super) fn icon() -> Option<Icon> {
    let (rgba, side) = rgba();
    Icon::from_rgba(rgba, side, side).map_err(|error| debug!("no icon for the window: {error}")).ok()
}

/// Returns bytes R, G, B, A, and the length of a side.
fn rgba() -> (Vec<u8>, u32) {
    let color = |letter: u8| match letter {
        b'#' => [0xb0, 0xb8, 0xc4, 255],
        b'o' => [0xff, 0xa5, 0x00, 255],
        b'b' => [0x30, 0x80, 0xff, 255],
        b'.' => [0, 0, 0, 0],
        _ => [0x10, 0x14, 0x1c, 255],
    };
    let line =
        |row: &str| -> Vec<u8> { row.bytes().flat_map(|letter| color(letter).repeat(SCALE)).collect() };
    let rgba = PICTURE.iter().flat_map(|row| line(row).repeat(SCALE)).collect();
    (rgba, (PICTURE.len() * SCALE) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_square_of_large_pixels() {
        let (rgba, side) = rgba();
        assert_eq!((side, rgba.len()), (64, 64 * 64 * 4));
        assert!(PICTURE.iter().all(|row| row.len() == PICTURE.len()));
        let at = |x: usize, y: usize| &rgba[(y * 64 + x) * 4..][..4];
        assert_eq!(at(0, 0), [0, 0, 0, 0]);
        for (x, y) in [(32, 24), (35, 27)] {
            assert_eq!(at(x, y), [0xff, 0xa5, 0, 255], "({x}, {y})");
        }
        assert_eq!(at(63, 63), [0, 0, 0, 0]);
        assert!(icon().is_some());
    }
}
