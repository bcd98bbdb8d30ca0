use super::*;
use std::sync::atomic::AtomicUsize;

fn small(width: u32, height: u32) -> Framebuffer {
    Framebuffer::new(Size { width, height }, Color::BLACK).unwrap()
}

/// Draws in row `y` and publishes the damage.
fn draw(fb: &Framebuffer, y: u32) {
    let mut damage = fb.no_damage();
    assert!(fb.draw_pixel(0, y as i32, Color::RED, &mut damage));
    fb.publish(&mut damage);
}

fn taken(subscription: &mut Subscription) -> Vec<Range<u32>> {
    // `take` replaces the existing damage, whatever display it is of.
    let mut damage = Damage::none(1);
    damage.mark(0);
    subscription.take(&mut damage);
    damage.rows().collect()
}

fn rows(range: Range<u32>) -> Vec<Range<u32>> {
    Vec::from([range])
}

/// Subscribes, and counts how often the waker is called.
fn counted(fb: &Framebuffer) -> (Subscription, Arc<AtomicUsize>) {
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    (fb.subscribe(move || _ = count.fetch_add(1, Relaxed)), woken)
}

#[test]
fn a_size_that_cannot_be_is_an_error() {
    for (width, height) in [(0, 1), (1, 0), (65_536, 1), (1, u32::MAX)] {
        let error = Framebuffer::new(Size { width, height }, Color::BLACK).unwrap_err().to_string();
        assert!(error.contains(&format!("{width}x{height}")) && error.contains("1 to 65535"), "{error}");
    }
    assert_eq!(small(65_535, 1).get_pixel(65_534, 0), Some(Color::BLACK));
}

#[test]
fn pixels_are_the_bytes_r_g_b_a_and_alpha_is_kept() {
    let (fb, mut bytes) = (small(2, 2), Vec::new());
    let mut damage = fb.no_damage();
    assert!(fb.draw_pixel(1, 0, Color::from_u32(0x0102_0304), &mut damage));
    assert!(!fb.draw_pixel(2, 0, Color::RED, &mut damage) && !fb.draw_pixel(0, -1, Color::RED, &mut damage));
    fb.read(fb.size().clip(0, 0, 2, 2), &mut bytes);
    assert_eq!(bytes, [0, 0, 0, 255, 1, 2, 3, 4, 0, 0, 0, 255, 0, 0, 0, 255]);
    let mut row = [9; 12];
    fb.copy_rows(0..9, &mut row);
    assert_eq!(row, [0, 0, 0, 255, 1, 2, 3, 4, 9, 9, 9, 9], "half a row is no row");
    let mut subscription = fb.subscribe(|| {});
    assert_eq!(taken(&mut subscription), [const { 0..2 }], "everything is damaged at first");
    fb.publish(&mut damage);
    assert_eq!(taken(&mut subscription), [const { 0..1 }]);
    assert!(taken(&mut subscription).is_empty() && damage.is_empty());
}

#[test]
fn a_run_draws_and_marks_what_single_pixels_do() {
    let size = Size { width: 50, height: 40 };
    // Short and long runs; rows of neighbours that end anywhere in a block, random pixels, and some outside.
    for (seed, count) in (0_u32..).zip([0, 1, 7, 8, 9, 255, 256, 257, 1000, 1003].repeat(8)) {
        let mut random = seed + 1;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((random >> 8) % below) as u16
        };
        let (mut at, mut pixels) = ((0, 0), Vec::new());
        for i in 0..count {
            at = if next(10) < seed as u16 % 8 { (next(55), next(44)) } else { (at.0 + 1, at.1) };
            pixels.push(Pixel::new(at.0, at.1, Color::from_u32(i)));
        }
        let run: Vec<_> = pixels.iter().flat_map(|pixel| pixel.to_bytes()).collect();
        let (one, other) = (small(50, 40), small(50, 40));
        let (mut marked, mut expected) = (one.no_damage(), other.no_damage());
        let (mut outside, mut not_drawn) = (Vec::new(), Vec::new());
        one.draw_run(&run, &mut marked, |i, pixel| outside.push((i, pixel)));
        for (i, &pixel) in (0..).zip(&pixels) {
            if !other.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color, &mut expected) {
                not_drawn.push((i, pixel));
            }
        }
        assert_eq!(outside, not_drawn, "run {seed} of {count}");
        let image = |framebuffer: &Framebuffer| {
            let mut bytes = Vec::new();
            framebuffer.read(size.clip(0, 0, 50, 40), &mut bytes);
            bytes
        };
        assert!(image(&one) == image(&other), "run {seed} of {count}");
        let is_marked = |damage: &Damage, y| damage.rows().any(|rows| rows.contains(&y));
        let mut missing = (0..40).filter(|&y| is_marked(&expected, y) && !is_marked(&marked, y));
        assert_eq!(missing.next(), None, "run {seed} of {count}");
    }
}

#[test]
fn a_subscriber_is_woken_once_until_it_takes() {
    let fb = small(2, 2);
    draw(&fb, 0);
    let (mut subscription, woken) = counted(&fb);
    assert_eq!(woken.load(Relaxed), 1, "for all that is there");
    for y in [0, 1, 0] {
        draw(&fb, y);
        assert_eq!(woken.load(Relaxed), 1);
    }
    assert_eq!(taken(&mut subscription), [const { 0..2 }]);
    for expected in [2, 2, 2] {
        draw(&fb, 1);
        assert_eq!(woken.load(Relaxed), expected);
    }
    assert_eq!(taken(&mut subscription), [const { 1..2 }]);
    draw(&fb, 0);
    assert_eq!(woken.load(Relaxed), 3);
}

#[test]
fn two_subscribers_get_the_same_damage() {
    let fb = small(1, 100);
    let ((mut one, one_woken), (mut other, other_woken)) = (counted(&fb), counted(&fb));
    assert_eq!((taken(&mut one), taken(&mut other)), (rows(0..100), rows(0..100)));
    for y in [3, 70, 3] {
        let before = (one_woken.load(Relaxed), other_woken.load(Relaxed));
        draw(&fb, y);
        draw(&fb, y + 1);
        assert_eq!((one_woken.load(Relaxed), other_woken.load(Relaxed)), (before.0 + 1, before.1 + 1));
        assert_eq!(taken(&mut one), rows(y..y + 2));
        assert_eq!(taken(&mut other), rows(y..y + 2));
        assert!(taken(&mut one).is_empty() && taken(&mut other).is_empty());
    }
}

#[test]
fn a_slow_subscriber_gets_the_union_of_what_it_missed() {
    let fb = small(1, 100);
    let ((mut fast, _), (mut slow, slow_woken)) = (counted(&fb), counted(&fb));
    taken(&mut fast);
    taken(&mut slow);
    for y in [5, 6, 80, 5] {
        draw(&fb, y);
        assert_eq!(taken(&mut fast), rows(y..y + 1));
    }
    assert_eq!(slow_woken.load(Relaxed), 2, "for having come, and once for all that it missed");
    assert_eq!(taken(&mut slow), [5..7, 80..81]);
    assert!(taken(&mut slow).is_empty());
}

#[test]
fn a_subscriber_that_comes_later_begins_with_everything() {
    let fb = small(1, 100);
    let (mut first, _) = counted(&fb);
    taken(&mut first);
    draw(&fb, 7);
    let (mut second, woken) = counted(&fb);
    assert_eq!((taken(&mut second), woken.load(Relaxed)), (rows(0..100), 1));
    assert_eq!(taken(&mut first), [const { 7..8 }], "which takes nothing from others");
}

#[test]
fn a_subscriber_that_is_dropped_is_neither_marked_nor_woken() {
    let fb = small(1, 100);
    let ((mut stays, stays_woken), (mut leaves, leaves_woken)) = (counted(&fb), counted(&fb));
    taken(&mut stays);
    taken(&mut leaves);
    assert_eq!(fb.damage.subscribers(), 2);
    drop(leaves);
    assert_eq!(Arc::strong_count(&leaves_woken), 1, "its waker is dropped");
    assert_eq!(fb.damage.subscribers(), 1);
    draw(&fb, 4);
    assert_eq!((stays_woken.load(Relaxed), leaves_woken.load(Relaxed)), (2, 1));
    assert_eq!(taken(&mut stays), [const { 4..5 }]);
    drop(stays);
    draw(&fb, 4);
    assert_eq!((fb.damage.subscribers(), stays_woken.load(Relaxed)), (0, 2));
}

#[test]
fn a_subscription_outlives_its_framebuffer() {
    let fb = small(1, 3);
    let (mut subscription, _) = counted(&fb);
    draw(&fb, 0);
    drop(fb);
    assert_eq!(taken(&mut subscription), [const { 0..3 }]);
    assert!(taken(&mut subscription).is_empty());
}

/// No lock is held while a waker is called or dropped.
#[test]
fn a_waker_may_subscribe_and_unsubscribe() {
    let fb = Arc::new(small(1, 3));
    let held = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (inner, others) = (Arc::downgrade(&fb), Arc::clone(&held));
    let mut subscription = fb.subscribe(move || {
        let Some(fb) = inner.upgrade() else { return };
        // Owned by the waker, and dropped with it.
        let owned = fb.subscribe(|| {});
        let other = fb.subscribe(move || _ = &owned);
        let before = std::mem::replace(&mut *others.lock().unwrap(), vec![other]);
        drop(before);
    });
    taken(&mut subscription);
    draw(&fb, 1);
    assert_eq!(fb.damage.subscribers(), 3);
    assert_eq!(taken(&mut subscription), [const { 1..2 }]);
    drop((subscription, std::mem::take(&mut *held.lock().unwrap())));
    assert_eq!(fb.damage.subscribers(), 0);
}

#[test]
fn no_damage_is_lost_between_threads() {
    const ROUNDS: u32 = 20_000;
    let fb = small(8, 200);
    let (events, event) = std::sync::mpsc::channel();
    let mut subscriptions = [0, 1, 2].map(|one| {
        let wake = events.clone();
        (fb.subscribe(move || _ = wake.send(Some(one))), vec![0; 8 * 200 * BYTES])
    });
    let (mut drawing, mut damage) = (2, fb.no_damage());
    std::thread::scope(|scope| {
        for drawer in 0..drawing {
            let (fb, events) = (&fb, events.clone());
            scope.spawn(move || {
                let mut damage = fb.no_damage();
                for n in 0..ROUNDS {
                    let (x, y) = (n * 7 % 4 + 4 * drawer, n * 13 % 200);
                    fb.draw_pixel(x as i32, y as i32, Color::from_u32(n), &mut damage);
                    fb.publish(&mut damage);
                }
                events.send(None).unwrap();
            });
        }
        // A subscriber copies only when it is woken, and only the damaged rows. All wake events of a drawer come before
        // its end, so after the second end nothing is left to copy.
        while drawing > 0 {
            let Some(one) = event.recv().unwrap() else {
                drawing -= 1;
                continue;
            };
            let (subscription, shown) = &mut subscriptions[one];
            subscription.take(&mut damage);
            damage.rows().for_each(|rows| {
                let bytes = rows.start as usize * 8 * BYTES..rows.end as usize * 8 * BYTES;
                fb.copy_rows(rows, &mut shown[bytes]);
            });
        }
    });
    let mut all = Vec::new();
    fb.read(fb.size().clip(0, 0, 8, 200), &mut all);
    for (_, shown) in &subscriptions {
        assert!(&all == shown, "the copy made from damage equals the framebuffer");
    }
}
