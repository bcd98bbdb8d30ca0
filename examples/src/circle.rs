//! The pixels of a filled circle.

/// Returns the pixels of a filled circle, row by row from the top, each row from the left.
///
/// A pixel belongs to it if the pixel's centre, half a pixel right of and below its corner, lies within the circle.
/// An odd diameter has its centre in the middle of the pixel `center`, an even one at the top left corner of that
/// pixel; either way the picture is its own mirror image in both directions and both diagonals. The pixels go from
/// `center - diameter / 2` (rounded down) for `diameter` columns and rows. Coordinates may be negative; what does
/// not fit an `i32` is left out.
///
/// ```
/// let pixels: Vec<_> = draw_examples::disc(2, (10, 20)).collect();
/// assert_eq!(pixels, [(9, 19), (10, 19), (9, 20), (10, 20)]);
/// assert_eq!(draw_examples::disc(100, (0, 0)).count(), 7_860);
/// ```
///
/// The method is the definition, x² + y² ≤ r², in whole numbers: distances from the centre are counted in half
/// pixels, as embedded-graphics does in
/// [`primitives/circle`](https://github.com/embedded-graphics/embedded-graphics/tree/master/src/primitives/circle).
/// Counted so, no centre ever lies exactly on the circle: for an odd diameter both distances are even and the diameter
/// is odd, for an even one the sum of two odd squares is 2 more than a multiple of 4. So there is no tie to break.
pub fn disc(diameter: u32, center: (i32, i32)) -> impl Iterator<Item = (i32, i32)> + Clone {
    let d = u64::from(diameter);
    let corner =
        (i64::from(center.0) - i64::from(diameter / 2), i64::from(center.1) - i64::from(diameter / 2));
    (0..d).flat_map(move |row| {
        // In half pixels: how far this row's centres are above or below the middle, then how far its ends may be
        // left or right of it.
        let dy = (2 * row + 1).abs_diff(d);
        let reach = (d * d - dy * dy).isqrt();
        // Its first pixel is the first whose distance d - 1 - 2 * column is within reach; the last mirrors it.
        let first = (d - 1).saturating_sub(reach).div_ceil(2);
        let y = i32::try_from(corner.1 + row as i64).ok();
        (first..d - first).filter_map(move |column| Some((i32::try_from(corner.0 + column as i64).ok()?, y?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn picture(diameter: u32) -> Vec<String> {
        let half = i32::try_from(diameter / 2).unwrap();
        let pixels: HashSet<_> = disc(diameter, (half, half)).collect();
        let side = 0..i32::try_from(diameter).unwrap();
        side.clone()
            .map(|y| side.clone().map(|x| if pixels.contains(&(x, y)) { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn small_circles_look_like_this() {
        assert_eq!(picture(0), [""; 0]);
        assert_eq!(picture(1), ["#"]);
        #[rustfmt::skip]
        assert_eq!(picture(2), [
            "##",
            "##",
        ]);
        #[rustfmt::skip]
        assert_eq!(picture(3), [
            "###",
            "###",
            "###",
        ]);
        #[rustfmt::skip]
        assert_eq!(picture(4), [
            ".##.",
            "####",
            "####",
            ".##.",
        ]);
        #[rustfmt::skip]
        assert_eq!(picture(5), [
            ".###.",
            "#####",
            "#####",
            "#####",
            ".###.",
        ]);
        #[rustfmt::skip]
        assert_eq!(picture(6), [
            ".####.",
            "######",
            "######",
            "######",
            "######",
            ".####.",
        ]);
    }

    /// The definition, pixel by pixel in floating point: independent of rows, spans and integers.
    fn by_definition(diameter: u32) -> Vec<(i32, i32)> {
        let d = i32::try_from(diameter).unwrap();
        let far = |n: i32| f64::from(n) + 0.5 - f64::from(d) / 2.0;
        (0..d)
            .flat_map(|y| (0..d).map(move |x| (x, y)))
            .filter(|&(x, y)| far(x).hypot(far(y)) <= f64::from(d) / 2.0)
            .map(|(x, y)| (x - d / 2, y - d / 2))
            .collect()
    }

    #[test]
    fn a_disc_is_what_the_definition_says_in_order_and_once() {
        for diameter in (0..=64).chain([99, 100, 101, 255, 256]) {
            let pixels: Vec<_> = disc(diameter, (0, 0)).collect();
            assert_eq!(pixels, by_definition(diameter), "diameter {diameter}");
            assert!(pixels.is_sorted_by_key(|&(x, y)| (y, x)));
        }
    }

    #[test]
    fn the_lecture_s_circle_has_7860_pixels() {
        // Counted independently: sum((2*i-99)**2 + (2*j-99)**2 <= 100**2 for i in range(100) for j in range(100))
        assert_eq!(disc(100, (320, 240)).count(), 7_860);
    }

    #[test]
    fn eight_mirror_images_are_the_same() {
        for diameter in [1, 2, 3, 7, 8, 99, 100] {
            let pixels: HashSet<_> = disc(diameter, (0, 0)).collect();
            // Even diameters mirror -1 to 0, odd ones 0 to itself.
            let turn = |n: i32| if diameter % 2 == 0 { -1 - n } else { -n };
            for &(x, y) in &pixels {
                for (x, y) in [(x, y), (y, x)] {
                    for image in [(x, y), (turn(x), y), (x, turn(y)), (turn(x), turn(y))] {
                        assert!(pixels.contains(&image), "diameter {diameter}: {image:?} is missing");
                    }
                }
            }
        }
    }

    #[test]
    fn it_moves_with_its_centre_and_goes_beyond_every_edge() {
        let moved: Vec<_> = disc(9, (0, 0)).map(|(x, y)| (x - 5, y + 7)).collect();
        assert_eq!(disc(9, (-5, 7)).collect::<Vec<_>>(), moved);
        // Half of each axis lies beyond the range of an i32, so a quarter is left.
        assert_eq!(disc(100, (i32::MIN, i32::MIN)).count(), 7_860 / 4);
        assert_eq!(disc(u32::MAX, (0, 0)).next(), Some((-46_340, i32::MIN + 1)));
    }
}
