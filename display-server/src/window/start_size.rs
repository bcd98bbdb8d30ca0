//! Determines the size of a window when it opens.

use super::layout::shrunk;
use draw_protocol::Size;

/// The part of each side of the screen that a window may take when it opens, in percent. The rest is for what surrounds
/// windows: a title bar and borders, and the panels of the desktop. Where there is a window manager it has the last word.
const PART: u64 = 90;
/// The largest scale factor that is believed. Monitors have factors up to 4.
const FACTORS: f64 = 16.0;

/// Returns the size in which a window of a display opens.
///
/// Each pixel of the display is as large as the scale factor of the screen says, rounded down to a whole number: on
/// most screens, one pixel of the screen. Where the window would not fit onto the screen, it is the largest whole
/// number with which it does, and if even one is too large, the window is shrunk in proportion. Without a known screen,
/// the window is as large as the display. Neither side is 0.
pub(super) fn start_size(screen: Option<(Size, f64)>, canvas: Size) -> Size {
    let canvas = Size { width: canvas.width.max(1), height: canvas.height.max(1) };
    // A screen without a size is one that the window system knows nothing about.
    let Some((screen, factor)) = screen.filter(|(size, _)| size.width > 0 && size.height > 0) else {
        return canvas;
    };
    let part = |side: u32| ((u64::from(side) * PART / 100) as u32).max(1);
    let room = Size { width: part(screen.width), height: part(screen.height) };
    // A factor that is not a number becomes 0 in the cast.
    let wanted = factor.clamp(1.0, FACTORS) as u32;
    let fits = (room.width / canvas.width).min(room.height / canvas.height);
    let scale = wanted.min(fits).max(1);
    let Size { width, height } = shrunk(canvas, room);
    Size { width: width * scale, height: height * scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    const USUAL: Size = Size { width: 640, height: 480 };

    #[test]
    fn a_display_that_fits_opens_at_the_scale_factor_of_the_screen() {
        let on = |width, height, factor| start_size(Some((size(width, height), factor)), USUAL);
        assert_eq!(on(1920, 1080, 1.0), USUAL);
        assert_eq!(on(3840, 2160, 1.0), USUAL);
        assert_eq!(on(3840, 2160, 1.5), USUAL);
        assert_eq!(on(3840, 2160, 2.0), size(1280, 960));
        assert_eq!(on(3840, 2160, 3.9), size(1920, 1440));
    }

    #[test]
    fn the_scale_is_the_largest_whole_number_that_leaves_a_tenth_of_the_screen() {
        let on = |width, height, factor| start_size(Some((size(width, height), factor)), USUAL);
        assert_eq!(on(1423, 1067, 2.0), size(1280, 960));
        assert_eq!(on(1422, 1067, 2.0), USUAL, "1279 columns are left");
        assert_eq!(on(1423, 1066, 2.0), USUAL, "959 rows are left");
        assert_eq!(on(1920, 1200, 3.0), size(1280, 960));
    }

    #[test]
    fn a_display_that_is_too_large_is_shrunk_in_proportion() {
        let on = |canvas| start_size(Some((size(1920, 1080), 2.0)), canvas);
        assert_eq!(on(size(1920, 1080)), size(1728, 972));
        assert_eq!(on(size(4000, 1000)), size(1728, 432));
        assert_eq!(on(size(65_535, 65_535)), size(972, 972));
        assert_eq!(on(size(65_535, 1)), size(1728, 1));
    }

    #[test]
    fn an_unknown_screen_gives_the_size_of_the_display() {
        for screen in [None, Some((size(0, 0), 1.0)), Some((size(0, 1080), 2.0))] {
            assert_eq!(start_size(screen, USUAL), USUAL);
            assert_eq!(start_size(screen, size(65_535, 3)), size(65_535, 3));
        }
        for factor in [0.0, -3.0, f64::NAN] {
            assert_eq!(start_size(Some((size(1920, 1080), factor)), USUAL), USUAL);
        }
        assert_eq!(start_size(Some((size(9999, 9999), f64::INFINITY)), size(100, 100)), size(1600, 1600));
    }

    proptest! {
        #[test]
        fn it_fits_and_keeps_the_proportions(w in 1u32..9000, h in 1u32..9000, cw in 1u32..9000, ch in 1u32..9000,
                                             factor in 0.5f64..5.0) {
            let (screen, canvas) = (size(w, h), size(cw, ch));
            let found = start_size(Some((screen, factor)), canvas);
            prop_assert!(found.width > 0 && found.height > 0);
            prop_assert!(found.width <= (w * 9 / 10).max(1) && found.height <= (h * 9 / 10).max(1));
            let is_whole = found.width.is_multiple_of(cw) && found.width / cw * ch == found.height;
            let is_shrunk = found == shrunk(canvas, size((w * 9 / 10).max(1), (h * 9 / 10).max(1)));
            prop_assert!(is_whole || is_shrunk);
            prop_assert!(f64::from(found.width) <= f64::from(cw) * factor.max(1.0));
        }
    }
}
