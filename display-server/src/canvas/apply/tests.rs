//! Tests requests by the pictures that they draw. `.` is black; R, G, B and W are the colours of those letters.

use super::*;
use draw_protocol::{Digest, JournalUse, Method, Pixel, Position};
use proptest::prelude::*;

struct Screen {
    framebuffer: Framebuffer,
    pointer: Pointer,
    damage: Damage,
}

impl Screen {
    fn new(width: u32, height: u32) -> Screen {
        let framebuffer = Framebuffer::new(Size { width, height }, Color::BLACK).unwrap();
        Screen { damage: framebuffer.no_damage(), framebuffer, pointer: Pointer::default() }
    }

    fn apply(&mut self, request: Request<'_>) -> Result<Answer, Fault> {
        apply(&request, &self.framebuffer, &self.pointer, &mut self.damage)
    }

    fn fault(&mut self, request: Request<'_>) -> String {
        self.apply(request).unwrap_err().to_string()
    }

    fn picture(&self) -> Vec<String> {
        let Size { width, height } = self.framebuffer.size();
        let letter = |x, y| match self.framebuffer.get_pixel(x, y) {
            Some(Color::BLACK) => '.',
            Some(Color::RED) => 'R',
            Some(Color::GREEN) => 'G',
            Some(Color::BLUE) => 'B',
            Some(Color::WHITE) => 'W',
            _ => '?',
        };
        (0..height as i32).map(|y| (0..width as i32).map(|x| letter(x, y)).collect()).collect()
    }

    fn changed(&self) -> Vec<std::ops::Range<u32>> {
        self.damage.rows().collect()
    }
}

fn rgba(letters: &str) -> Vec<u8> {
    let color = |letter| match letter {
        'R' => Color::RED,
        'G' => Color::GREEN,
        'B' => Color::BLUE,
        _ => Color::WHITE,
    };
    letters.chars().filter(|c| c.is_ascii_alphabetic()).flat_map(|c| color(c).to_bytes()).collect()
}

#[test]
fn one_pixel_is_drawn_or_named() {
    let mut screen = Screen::new(640, 480);
    let draw = |x, y| Request::DrawPixel { x, y, color: Color::RED };
    assert_eq!(screen.apply(draw(639, 479)), Ok(Answer::Done(())));
    assert_eq!(screen.apply(Request::GetPixel { x: 639, y: 479 }), Ok(Answer::Pixel(Color::RED)));
    assert_eq!(screen.fault(draw(700, 10)), "out_of_bounds: (700, 10) is outside 640x480");
    assert_eq!(screen.fault(draw(-1, i32::MIN)), "out_of_bounds: (-1, -2147483648) is outside 640x480");
    assert_eq!(
        screen.fault(Request::GetPixel { x: 0, y: 480 }),
        "out_of_bounds: (0, 480) is outside 640x480"
    );
    assert_eq!(screen.changed(), [const { 479..480 }]);
}

#[test]
fn of_a_batch_what_is_inside_is_drawn_and_the_rest_is_named() {
    let mut screen = Screen::new(4, 2);
    let at = |x, y| Pixel::new(x, y, Color::RED);
    let slice = [at(0, 0), at(4, 0), at(0, 2), at(1, 1), at(65_535, 65_535), at(3, 0)];
    let run: Vec<u8> = slice.iter().flat_map(|p| p.to_bytes()).collect();
    for (form, pixels) in [("slice", Pixels::from(&slice[..])), ("run", as_run(&run))] {
        let fault = screen.apply(Request::DrawPixels { pixels }).unwrap_err();
        assert_eq!(fault.rejected(), [(1, 2), (4, 1)].map(Range::from), "{form}");
        assert_eq!(fault.message, "3 of 6 pixels are outside 4x2: (4, 0), (0, 2), (65535, 65535)");
        assert_eq!(screen.picture(), ["R..R", ".R.."]);
        screen.apply(Request::Clear { color: Color::BLACK }).unwrap();
    }
    let many = vec![at(9, 9); 1000];
    let text = screen.fault(Request::DrawPixels { pixels: Pixels::from(&many[..]) });
    assert!(text.starts_with("out_of_bounds: 1000 of 1000 pixels are outside 4x2: (9, 9), (9, 9)"), "{text}");
    assert!(text.ends_with("(9, 9) and 990 more") && text.matches("(9, 9)").count() == 10, "{text}");
    let text = screen.fault(Request::DrawPixels { pixels: Pixels::from(&many[..1]) });
    assert_eq!(text, "out_of_bounds: 1 of 1 pixel is outside 4x2: (9, 9)");
    assert_eq!(screen.apply(Request::DrawPixels { pixels: Pixels::from(&[][..]) }), Ok(Answer::Done(())));
}

/// Decodes a run. Runs come only from the wire, so this uses a connection.
fn as_run(run: &[u8]) -> Pixels<'static> {
    use draw_protocol::server::{Config, Connection, Step};
    let mut message = vec![0x94, 0, 1, 0xab];
    message.extend(b"draw_pixels");
    message.extend([0x91, 0xc4, run.len() as u8]);
    message.extend(run);
    let (mut input, now) = (&*message.leak(), std::time::Instant::now());
    let config = Config {
        display: draw_protocol::DisplayName::main(),
        server: String::new(),
        size: Size { width: 1, height: 1 },
        message: 1 << 20,
        instance: None,
        has_journal: false,
        nonce: None,
    };
    let connection = Box::leak(Box::new(Connection::new(config, now)));
    match connection.handle_input(&mut input, now) {
        Step::Execute(Request::DrawPixels { pixels }, _) if pixels.as_run().is_some() => pixels,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_part_of_a_rectangle_that_is_inside_is_drawn() {
    let mut screen = Screen::new(6, 4);
    let fill = |x, y, width, height, color| Request::FillRect { x, y, width, height, color };
    assert_eq!(screen.apply(fill(1, 1, 3, 2, Color::RED)), Ok(Answer::Done(())));
    assert_eq!(
        screen.fault(fill(4, 2, 100, 50, Color::GREEN)),
        "out_of_bounds: the rectangle 100x50 at (4, 2) is not all inside 6x4: only 2x2 at (4, 2) was drawn"
    );
    assert_eq!(
        screen.fault(fill(-1, -1, 2, 2, Color::BLUE)),
        "out_of_bounds: the rectangle 2x2 at (-1, -1) is not all inside 6x4: only 1x1 at (0, 0) was drawn"
    );
    assert_eq!(
        screen.picture(),
        [
            "B.....", //
            ".RRR..", ".RRRGG", "....GG",
        ]
    );
    assert_eq!(
        screen.fault(fill(6, 0, 1, 1, Color::WHITE)),
        "out_of_bounds: the rectangle 1x1 at (6, 0) is outside 6x4: nothing was drawn"
    );
    for nothing in [fill(100, 100, 0, 5, Color::WHITE), fill(-9, 0, u32::MAX, 0, Color::WHITE)] {
        assert_eq!(screen.apply(nothing), Ok(Answer::Done(())));
    }
    assert!(!screen.picture().concat().contains('W'));
    let all = fill(i32::MIN, i32::MIN, u32::MAX, u32::MAX, Color::WHITE);
    assert!(screen.fault(all).ends_with("only 6x4 at (0, 0) was drawn"));
    assert_eq!(screen.picture(), ["WWWWWW"; 4]);
}

#[test]
fn an_image_is_clipped_at_every_edge() {
    let image = rgba("RGB BRG GBR");
    let put = |x, y| Request::PutImage { x, y, width: 3, height: 3, rgba: &image };
    for ((x, y), picture, is_whole) in [
        ((1, 1), [".....", ".RGB.", ".BRG.", ".GBR."], true),
        ((-1, -2), ["BR...", ".....", ".....", "....."], false),
        ((4, 2), [".....", ".....", "....R", "....B"], false),
        ((-3, 0), [".....", ".....", ".....", "....."], false),
        ((0, 4), [".....", ".....", ".....", "....."], false),
    ] {
        let mut screen = Screen::new(5, 4);
        assert_eq!(screen.apply(put(x, y)).is_ok(), is_whole);
        assert_eq!(screen.picture(), picture, "at ({x}, {y})");
    }
    let short = Request::PutImage { x: 0, y: 0, width: 3, height: 3, rgba: &image[4..] };
    let mut screen = Screen::new(5, 4);
    assert!(screen.fault(short).starts_with("invalid_argument: rgba has 32 bytes"));
    assert_eq!(screen.picture(), ["....."; 4], "a request that is wrong draws nothing");
}

#[test]
fn questions_are_answered_or_refused_whole() {
    let mut screen = Screen::new(3, 2);
    let get = |x, y, width, height| Request::GetImage { x, y, width, height };
    screen.apply(Request::FillRect { x: 1, y: 0, width: 2, height: 2, color: Color::RED }).unwrap();
    screen.apply(Request::DrawPixel { x: 1, y: 1, color: Color::rgba(1, 2, 3, 0) }).unwrap();
    let mut square = rgba("RR.R");
    square.splice(8..8, [1, 2, 3, 0]);
    assert_eq!(screen.apply(get(1, 0, 2, 2)), Ok(Answer::Image(square)));
    assert_eq!(screen.apply(get(9, -9, 0, 7)), Ok(Answer::Image(vec![])));
    assert_eq!(
        screen.fault(get(2, 0, 2, 1)),
        "out_of_bounds: the rectangle 2x1 at (2, 0) is not all inside 3x2"
    );
    assert_eq!(screen.apply(Request::GetSize {}), Ok(Answer::Size(Size { width: 3, height: 2 })));
    assert_eq!(screen.apply(Request::Sync {}), Ok(Answer::Done(())));
    assert_eq!(screen.apply(Request::GetMouse {}), Ok(Answer::Mouse(None)));
    screen.pointer.set(Some(Position { x: 2, y: -1 }));
    assert_eq!(screen.apply(Request::GetMouse {}), Ok(Answer::Mouse(Some(Position { x: 2, y: -1 }))));
}

fn hash(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from(<[u8; 32]>::from(sha2::Sha256::digest(bytes)))
}

#[test]
fn adding_counts_in_one_number_and_wraps() {
    let mut screen = Screen::new(4, 2);
    screen.apply(Request::Clear { color: Color::from_u32(0) }).unwrap();
    screen.damage = screen.framebuffer.no_damage();
    let add = |amount| Request::AddPixel { x: 3, y: 1, amount };
    for (amount, sum) in [
        (1, 0x0000_0001),
        (0xff, 0x0000_0100),        // alpha carries to blue,
        (0x00ff_ff00, 0x0100_0000), // and through green to red,
        (0xff00_0000, 0x0000_0000), // and from red nowhere.
        (u32::MAX, 0xffff_ffff),
        (2, 0x0000_0001),
        (0, 0x0000_0001),
    ] {
        assert_eq!(screen.apply(add(amount)), Ok(Answer::Done(())));
        let color = Color::from_u32(sum);
        assert_eq!(screen.framebuffer.get_pixel(3, 1), Some(color), "after adding {amount:#x}");
    }
    assert_eq!(screen.changed(), [const { 1..2 }]);
    let text = screen.fault(Request::AddPixel { x: 4, y: 0, amount: 1 });
    assert_eq!(text, "out_of_bounds: (4, 0) is outside 4x2");
    let text = screen.fault(Request::AddPixel { x: 0, y: -1, amount: 1 });
    assert_eq!(text, "out_of_bounds: (0, -1) is outside 4x2");
}

#[test]
fn of_a_batch_of_additions_all_inside_are_added_and_the_rest_is_named() {
    let at = |x, y, amount| Pixel::adding(x, y, amount);
    let slice = [at(0, 0, 5), at(4, 0, 1), at(0, 2, 1), at(0, 0, 7), at(65_535, 65_535, 1), at(1, 1, 1)];
    let run: Vec<u8> = slice.iter().flat_map(|p| p.to_bytes()).collect();
    for (form, pixels) in [("slice", Pixels::from(&slice[..])), ("run", as_run(&run))] {
        let mut screen = Screen::new(4, 2);
        let fault = screen.apply(Request::AddPixels { pixels }).unwrap_err();
        assert_eq!(fault.rejected(), [(1, 2), (4, 1)].map(Range::from), "{form}");
        assert_eq!(fault.message, "3 of 6 pixels are outside 4x2: (4, 0), (0, 2), (65535, 65535)");
        let shown = |x, y| screen.framebuffer.get_pixel(x, y).unwrap().to_u32();
        assert_eq!([shown(0, 0), shown(1, 1), shown(1, 0)], [0xff + 12, 0xff + 1, 0xff], "{form}");
        assert_eq!(screen.changed(), [const { 0..2 }]);
    }
}

#[test]
fn what_two_connections_add_at_once_is_all_there() {
    // Enough for the two threads to reach the same pixel at the same time, even on a busy machine.
    const ROUNDS: u32 = 500;
    const BATCH: u32 = 1_000;
    let mut screen = Screen::new(2, 1);
    screen.apply(Request::Clear { color: Color::from_u32(0) }).unwrap();
    let framebuffer = &screen.framebuffer;
    let start = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for amount in [1, 0x0001_0001] {
            let start = &start;
            scope.spawn(move || {
                let (pointer, mut damage) = (Pointer::default(), framebuffer.no_damage());
                let mut add = |request| apply(&request, framebuffer, &pointer, &mut damage).unwrap();
                let batch = [Pixel::adding(1, 0, amount); BATCH as usize];
                start.wait();
                for _ in 0..ROUNDS {
                    (0..BATCH).for_each(|_| _ = add(Request::AddPixel { x: 0, y: 0, amount }));
                    add(Request::AddPixels { pixels: Pixels::from(&batch[..]) });
                }
            });
        }
    });
    let expected = (1u32 + 0x0001_0001).wrapping_mul(ROUNDS * BATCH);
    for x in [0, 1] {
        assert_eq!(framebuffer.get_pixel(x, 0), Some(Color::from_u32(expected)), "({x}, 0)");
    }
}

#[test]
fn a_digest_is_that_of_the_image() {
    // Wider than the part that is hashed at a time, and not a multiple of it.
    let (width, height) = (9_001, 3);
    let mut screen = Screen::new(width, height);
    let pixels: Vec<u8> =
        (0..width * height).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    screen.apply(Request::PutImage { x: 0, y: 0, width, height, rgba: &pixels }).unwrap();
    for (x, y, width, height) in [
        (0, 0, width, height),
        (1, 1, width - 1, 2),
        (0, 0, 4_096, 1),
        (4_095, 2, 2, 1),
        (7, 0, 1, 3),
        (-9, 70_000, 0, 5),
        (0, 0, 5, 0),
    ] {
        let Ok(Answer::Image(image)) = screen.apply(Request::GetImage { x, y, width, height }) else {
            panic!("{width}x{height} at ({x}, {y})")
        };
        let digest = screen.apply(Request::GetDigest { x, y, width, height });
        assert_eq!(digest, Ok(Answer::Digest(hash(&image))), "{width}x{height} at ({x}, {y})");
    }
    let get = |x, y, width, height| Request::GetDigest { x, y, width, height };
    assert_eq!(
        screen.fault(get(9_000, 0, 2, 1)),
        "out_of_bounds: the rectangle 2x1 at (9000, 0) is not all inside 9001x3"
    );
    let text = screen.fault(get(0, 0, u32::MAX, u32::MAX));
    assert!(text.starts_with("too_large: ") && text.ends_with("ask for bands of rows"), "{text}");
}

/// For clients in other languages: the specification has the same picture and the same digest.
#[test]
fn a_known_picture_has_a_known_digest() {
    let mut screen = Screen::new(2, 1);
    screen.apply(Request::DrawPixel { x: 0, y: 0, color: Color::RED }).unwrap();
    let Ok(Answer::Digest(digest)) = screen.apply(Request::GetDigest { x: 0, y: 0, width: 2, height: 1 })
    else {
        panic!("it is inside")
    };
    assert_eq!(digest.to_string(), "2183b4741da92e26b9223011cbb8726ee0deac7f7830257575f87793ab33321b");
}

#[test]
fn a_digest_is_computed_piece_by_piece_and_counts_as_more_work_than_filling() {
    let mut screen = Screen::new(100, 100);
    let whole = screen.apply(Request::GetDigest { x: 1, y: 1, width: 99, height: 90 });
    let mut hashing = Hashing::new(Area { x: 1, y: 1, width: 99, height: 90 });
    let (mut pieces, mut work) = (0, 0);
    let digest = loop {
        let (done, digest) = hashing.advance(&screen.framebuffer, 10_000);
        (pieces, work) = (pieces + 1, work + done);
        assert!(done <= 10_000 + 99 * 64);
        if let Some(digest) = digest {
            break digest;
        }
    };
    assert_eq!(whole, Ok(Answer::Digest(digest)));
    assert!(pieces > 10 && work == 99 * 90 * 64, "{work} in {pieces} pieces");
}

#[test]
fn a_batch_counts_as_its_pixels() {
    let pixels = [Pixel::adding(0, 0, 1); 7];
    let size = Size { width: 1_000, height: 1_000 };
    assert_eq!(work(&Request::AddPixels { pixels: Pixels::from(&pixels[..]) }, size), 7);
}

/// A model of a display, written as simply as possible.
struct Model {
    width: i64,
    height: i64,
    pixels: Vec<Color>,
}

impl Model {
    /// Stores a pixel if it is inside. Returns `true` if it is.
    fn draw(&mut self, x: i64, y: i64, color: Color) -> bool {
        let inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
        if inside {
            self.pixels[(y * self.width + x) as usize] = color;
        }
        inside
    }

    /// Returns the pixel after adding, or any value if it is outside.
    fn sum(&self, x: i64, y: i64, amount: u32) -> Color {
        let inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
        let old = if inside { self.pixels[(y * self.width + x) as usize] } else { Color::BLACK };
        Color::from_u32(((u64::from(old.to_u32()) + u64::from(amount)) % (1 << 32)) as u32)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pixel(i32, i32, Color),
    Pixels(Vec<Pixel>),
    Add(i32, i32, u32),
    Additions(Vec<Pixel>),
    Fill(i32, i32, u32, u32, Color),
    Image(i32, i32, u32, u32, u8),
    Clear(Color),
}

fn steps() -> impl Strategy<Value = Step> {
    let color = || any::<u32>().prop_map(Color::from_u32);
    let place = || prop_oneof![8 => -4..12i32, 1 => any::<i32>()];
    let length = || prop_oneof![8 => 0..9u32, 1 => any::<u32>()];
    let pixel = || (0..12u16, 0..12u16, color()).prop_map(|(x, y, c)| Pixel::new(x, y, c));
    prop_oneof![
        (place(), place(), color()).prop_map(|(x, y, c)| Step::Pixel(x, y, c)),
        proptest::collection::vec(pixel(), 0..20).prop_map(Step::Pixels),
        (place(), place(), any::<u32>()).prop_map(|(x, y, amount)| Step::Add(x, y, amount)),
        proptest::collection::vec(pixel(), 0..20).prop_map(Step::Additions),
        (place(), place(), length(), length(), color()).prop_map(|(x, y, w, h, c)| Step::Fill(x, y, w, h, c)),
        (place(), place(), 0..9u32, 0..9u32, any::<u8>())
            .prop_map(|(x, y, w, h, seed)| Step::Image(x, y, w, h, seed)),
        color().prop_map(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn any_requests_draw_what_the_model_draws(
        width in 1..10u32, height in 1..10u32, steps in proptest::collection::vec(steps(), 0..30)
    ) {
        let mut screen = Screen::new(width, height);
        let area = (width * height) as usize;
        let (w, h) = (i64::from(width), i64::from(height));
        let mut model = Model { width: w, height: h, pixels: vec![Color::BLACK; area] };
        for step in &steps {
            screen.damage = screen.framebuffer.no_damage();
            let before = model.pixels.clone();
            let (result, is_all_inside) = match step {
                &Step::Pixel(x, y, color) => {
                    let inside = model.draw(x.into(), y.into(), color);
                    (screen.apply(Request::DrawPixel { x, y, color }), inside)
                }
                &Step::Add(x, y, amount) => {
                    let color = model.sum(x.into(), y.into(), amount);
                    let inside = model.draw(x.into(), y.into(), color);
                    (screen.apply(Request::AddPixel { x, y, amount }), inside)
                }
                Step::Pixels(pixels) | Step::Additions(pixels) => {
                    let adds = matches!(step, Step::Additions(_));
                    let drawn: Vec<bool> = pixels
                        .iter()
                        .map(|p| {
                            let (x, y) = (p.x.into(), p.y.into());
                            let color = if adds { model.sum(x, y, p.color.to_u32()) } else { p.color };
                            model.draw(x, y, color)
                        })
                        .collect();
                    let pixels = Pixels::from(&pixels[..]);
                    let result = screen.apply(match adds {
                        true => Request::AddPixels { pixels },
                        false => Request::DrawPixels { pixels },
                    });
                    let mut expected = vec![true; pixels.len()];
                    for range in result.as_ref().err().map_or(&[][..], |fault| fault.rejected()) {
                        expected[range.first as usize..][..range.count as usize].fill(false);
                    }
                    prop_assert_eq!(&expected, &drawn);
                    (result, !drawn.contains(&false))
                }
                &Step::Fill(x, y, width, height, color) => {
                    let (left, top) = (i64::from(x), i64::from(y));
                    let (right, bottom) = (left + i64::from(width), top + i64::from(height));
                    for py in top.max(0)..bottom.min(h) {
                        for px in left.max(0)..right.min(w) {
                            model.draw(px, py, color);
                        }
                    }
                    let inside = left >= 0 && top >= 0 && right <= w && bottom <= h;
                    let request = Request::FillRect { x, y, width, height, color };
                    (screen.apply(request), inside || width == 0 || height == 0)
                }
                &Step::Image(x, y, width, height, seed) => {
                    let color = |i: u32| Color::rgba(seed, i as u8, (i >> 8) as u8, seed ^ i as u8);
                    let rgba: Vec<u8> = (0..width * height).flat_map(|i| color(i).to_bytes()).collect();
                    let mut inside = true;
                    for i in 0..width * height {
                        let (px, py) = (i64::from(x) + i64::from(i % width), i64::from(y) + i64::from(i / width));
                        inside &= model.draw(px, py, color(i));
                    }
                    (screen.apply(Request::PutImage { x, y, width, height, rgba: &rgba }), inside)
                }
                &Step::Clear(color) => {
                    model.pixels.fill(color);
                    (screen.apply(Request::Clear { color }), true)
                }
            };
            prop_assert_eq!(result.is_ok(), is_all_inside, "{:?}", step);
            let image = screen.apply(Request::GetImage { x: 0, y: 0, width, height });
            let bytes = model.pixels.iter().flat_map(|c| c.to_bytes()).collect();
            prop_assert_eq!(image, Ok(Answer::Image(bytes)), "{:?}", step);
            let changed = screen.changed();
            for (y, (old, new)) in (0..).zip(before.chunks(width as usize).zip(model.pixels.chunks(width as usize))) {
                prop_assert!(old == new || changed.iter().any(|rows| rows.contains(&y)), "row {} of {:?}", y, step);
            }
        }
    }
}

#[test]
fn the_effect_of_every_method_is_what_its_column_says() {
    let (image, color) = ([1, 2, 3, 4].repeat(4), Color::from_u32(0x0102_0304));
    let pixels = [Pixel::new(1, 1, Color::RED)];
    let requests = [
        Request::DrawPixel { x: 1, y: 1, color },
        Request::DrawPixels { pixels: Pixels::from(&pixels[..]) },
        Request::FillRect { x: 1, y: 1, width: 2, height: 2, color },
        Request::PutImage { x: 1, y: 1, width: 2, height: 2, rgba: &image },
        Request::Clear { color },
        Request::AddPixel { x: 1, y: 1, amount: 1 },
        Request::AddPixels { pixels: Pixels::from(&pixels[..]) },
        Request::GetPixel { x: 1, y: 1 },
        Request::GetImage { x: 1, y: 1, width: 2, height: 2 },
        Request::GetDigest { x: 1, y: 1, width: 2, height: 2 },
        Request::GetSize {},
        Request::GetMouse {},
        Request::Sync {},
        Request::SyncDurable {},
    ];
    let methods: Vec<_> = requests.iter().map(Request::method).collect();
    assert_eq!(methods, Method::ALL);
    for request in requests {
        let method = request.method();
        let mut screens = [Screen::new(4, 4), Screen::new(4, 4)];
        let mut unseen = screens[1].framebuffer.no_damage();
        screens[1].framebuffer.clear(Color::GREEN, &mut unseen);
        let answers = screens.each_mut().map(|screen| {
            let before = screen.picture();
            let answer = screen.apply(request).unwrap();
            assert_eq!(screen.picture() != before, method.draws(), "{method:?}");
            assert_eq!(!screen.changed().is_empty(), method.draws(), "{method:?}");
            answer
        });
        // If the answer depends on the picture, the picture must be in the journal first.
        let observes = method.journal() == JournalUse::Observe;
        assert_eq!(answers[0] != answers[1], observes, "{method:?}");
        // Only methods with an answer return anything but nil.
        assert!(answers[0] == Answer::Done(()) || method.has_answer(), "{method:?}");
    }
}
