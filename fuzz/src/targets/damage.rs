use arbitrary::{Result, Unstructured};
use display_server::{Damage, Framebuffer};
use draw_protocol::{Color, Size};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Damage published by several threads, on displays of any height, equals a set of bands: neither more nor less, in
/// ranges that do not touch; and a subscriber is woken once for all damage that precedes its next look. The first two
/// bytes are the height.
pub fn damage(data: &[u8]) {
    _ = run(&mut Unstructured::new(data));
}

/// The largest number of bands of a display.
const BANDS: u32 = 1024;

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let height = u32::from(input.arbitrary::<u16>()?).max(1);
    let framebuffer = Framebuffer::new(Size { width: 1, height }, Color::BLACK).expect("a small display");
    let band =
        (1..).map(|n| 1 << (n - 1)).find(|rows: &u32| height.div_ceil(*rows) <= BANDS).expect("some do");
    let (mut drawers, mut plain) =
        ([framebuffer.no_damage(), framebuffer.no_damage()], [const { BTreeSet::new() }; 2]);
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = wakes.clone();
    let mut subscription = framebuffer.subscribe(move || _ = counter.fetch_add(1, Ordering::Relaxed));
    // A subscriber is woken at once, with everything damaged.
    let mut published: BTreeSet<_> = bands(0, height, height, band).collect();
    let (mut is_woken, mut expected_wakes) = (true, 1);
    let mut taken = framebuffer.no_damage();
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        let kind = input.arbitrary::<u8>()?;
        let who = usize::from(kind >> 7);
        let y = i32::from(input.arbitrary::<i16>()?) + if kind & 0x40 > 0 { 32_767 } else { 0 };
        match kind & 3 {
            0 => {
                let is_inside = framebuffer.draw_pixel(0, y, Color::RED, &mut drawers[who]);
                assert_eq!(is_inside, (0..i64::from(height)).contains(&y.into()));
                plain[who].extend(bands(y, 1, height, band));
            }
            1 => {
                let rows = u32::from(input.arbitrary::<u16>()?);
                framebuffer.fill_rect((0, y), (1, rows), Color::RED, &mut drawers[who]);
                plain[who].extend(bands(y, rows, height, band));
            }
            2 => {
                framebuffer.publish(&mut drawers[who]);
                if !plain[who].is_empty() && !std::mem::replace(&mut is_woken, true) {
                    expected_wakes += 1;
                }
                published.append(&mut plain[who]);
            }
            _ => {
                subscription.take(&mut taken);
                assert_eq!(ranges(&taken), expected(&published, height, band));
                published.clear();
                is_woken = false;
            }
        }
        assert_eq!(
            drawers.each_ref().map(ranges),
            plain.each_ref().map(|bands| expected(bands, height, band))
        );
        assert_eq!(wakes.load(Ordering::Relaxed), expected_wakes);
    }
    Ok(())
}

fn ranges(damage: &Damage) -> Vec<Range<u32>> {
    assert_eq!(damage.is_empty(), damage.rows().next().is_none());
    damage.rows().collect()
}

/// Returns the bands of those rows that lie on the display.
fn bands(y: i32, rows: u32, height: u32, band: u32) -> Range<u32> {
    let inside = |y: i64| y.clamp(0, height.into()) as u32;
    let (first, end) = (inside(y.into()), inside(i64::from(y) + i64::from(rows)));
    if first < end { first / band..(end - 1) / band + 1 } else { 0..0 }
}

/// Returns the rows of these bands, as ranges that do not touch.
fn expected(bands: &BTreeSet<u32>, height: u32, band: u32) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for &n in bands {
        let rows = n * band..((n + 1) * band).min(height);
        match ranges.last_mut() {
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => ranges.push(rows),
        }
    }
    ranges
}
