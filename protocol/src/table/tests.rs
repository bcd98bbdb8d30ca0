use super::*;
use crate::Code;
use crate::codec::reader::Reader;
use crate::limits;
use crate::table::Pixel;

fn decode(method: Method, bytes: &[u8]) -> Result<String, String> {
    Request::decode(method, &mut Reader::new(bytes)).map(|r| r.call().to_string()).map_err(|f| f.to_string())
}

const PIXELS: &[Pixel] =
    &[Pixel::new(1, 2, Color::RED), Pixel::new(3, 4, Color::BLUE), Pixel::new(5, 6, Color::RED)];

/// Returns a request of every method, in the order of the table.
pub(crate) fn samples() -> Vec<Request<'static>> {
    let samples = vec![
        Request::DrawPixel { x: -1, y: 70_000, color: Color::from_u32(0x0102_0304) },
        Request::DrawPixels { pixels: Pixels::from(PIXELS) },
        Request::FillRect { x: i32::MIN, y: i32::MAX, width: u32::MAX, height: 0, color: Color::WHITE },
        Request::PutImage { x: 0, y: 0, width: 1, height: 3, rgba: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] },
        Request::Clear { color: Color::BLACK },
        Request::AddPixel { x: -1, y: 70_000, amount: u32::MAX },
        Request::AddPixels { pixels: Pixels::from(PIXELS) },
        Request::GetPixel { x: 5, y: 6 },
        Request::GetImage { x: 0, y: 1, width: 2, height: 3 },
        Request::GetDigest { x: 0, y: 1, width: 2, height: 3 },
        Request::GetSize {},
        Request::GetMouse {},
        Request::Sync {},
        Request::SyncDurable {},
    ];
    let methods: Vec<_> = samples.iter().map(Request::method).collect();
    assert_eq!(methods, Method::ALL, "each method has a sample");
    samples
}

#[test]
fn every_request_survives_its_parameters() {
    for request in samples() {
        let mut out = Vec::new();
        request.encode_parameters(&mut out);
        let again = Request::decode(request.method(), &mut Reader::new(&out)).unwrap();
        assert_eq!(again.call(), request.call());
        let mut once_more = Vec::new();
        again.encode_parameters(&mut once_more);
        assert_eq!(once_more, out);
    }
}

#[test]
fn a_call_prints_as_it_was_written() {
    let color = Color::RED;
    assert_eq!(
        Request::DrawPixel { x: 700, y: 10, color }.call().to_string(),
        "draw_pixel(700, 10, #ff0000ff)"
    );
    assert_eq!(Call::DrawPixels { pixels: Count(1) }.to_string(), "draw_pixels(1 pixel)");
    assert_eq!(Call::AddPixel { x: 1, y: -2, amount: 3 }.to_string(), "add_pixel(1, -2, 3)");
    assert_eq!(Call::AddPixels { pixels: Count(2) }.to_string(), "add_pixels(2 pixels)");
    let call = Call::PutImage { x: 0, y: -1, width: 2, height: 1, rgba: Count(8) };
    assert_eq!(call.to_string(), "put_image(0, -1, 2, 1, 8 bytes)");
    assert_eq!(Call::GetSize {}.to_string(), "get_size()");
    // A call is kept for each of up to 65,536 calls in flight.
    assert!(size_of::<Call>() <= 24, "{}", size_of::<Call>());
}

#[test]
fn wrong_parameters_are_explained() {
    for (method, bytes, says) in [
        (Method::DrawPixel, &[0x92, 1, 2][..], "draw_pixel(x, y, color) takes 3 parameters, not 2"),
        (Method::Clear, &[0x90], "clear(color) takes 1 parameter, not 0"),
        (Method::GetSize, &[0xc0], "the parameters of get_size() are to be an array, not nil"),
        (Method::DrawPixel, &[0x93, 1, 0xa1, b'y', 3], "y is to be a whole number"),
        (Method::DrawPixel, &[0x93, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 2, 3], "not 4294967296"),
        (Method::Clear, &[0x91, 0xff], "color is to be a number 0xRRGGBBAA, from 0 to 4294967295, not -1"),
        (Method::FillRect, &[0x95, 0, 0, 0xff, 1, 0], "width is to be a whole number from 0"),
        (
            Method::AddPixel,
            &[0x93, 1, 2, 0xff],
            "amount is to be a whole number from 0 to 4294967295, not -1",
        ),
        (Method::AddPixels, &[0x91, 0xc4, 3, 1, 2, 3], "pixels has 3 bytes, which is no multiple of 8"),
        (Method::PutImage, &[0x95, 0, 0, 1, 1, 0xc4, 3, 1, 2, 3], "3 bytes; an image of 1x1 has 4"),
        (Method::PutImage, &[0x95, 0, 0, 1, 1, 5], "rgba is to be a bin, not 5"),
    ] {
        let text = decode(method, bytes).unwrap_err();
        assert!(text.starts_with("invalid_argument: ") && text.contains(says), "{text}");
    }
    let huge =
        [&[0x95, 0, 0][..], &[0xce, 255, 255, 255, 255], &[0xce, 255, 255, 255, 255], &[0xc4, 0]].concat();
    let text = decode(Method::PutImage, &huge).unwrap_err();
    assert!(text.contains("an image of 4294967295x4294967295 has 73786976260478468100"), "{text}");
}

#[test]
fn more_than_a_limit_is_refused_by_whoever_looks_first() {
    let digest = |width, height| Request::GetDigest { x: 0, y: 0, width, height };
    for (width, height) in [(3840, 2160), (0, u32::MAX), (8 << 20, 1)] {
        assert_eq!(digest(width, height).check(), Ok(()));
    }
    assert_eq!(
        digest(4096, 2049).check().unwrap_err().to_string(),
        "too_large: a rectangle of 4096x2049 has 8392704 pixels; the limit of a digest is 8388608: ask for bands of rows"
    );
    assert_eq!(digest(u32::MAX, u32::MAX).check().unwrap_err().code, Code::TooLarge);
    let pixels = vec![Pixel::adding(0, 0, 1); limits::BATCH + 1];
    let add = |pixels| Request::AddPixels { pixels: Pixels::from(pixels) };
    assert_eq!(add(&pixels[1..]).check(), Ok(()));
    let fault = add(&pixels).check().unwrap_err();
    assert_eq!(fault.to_string(), "too_large: 65537 pixels in one call; the limit is 65536");
}

#[test]
fn recorded_parameters_have_no_limit_of_the_wire_and_keep_their_shape() {
    let pixels = vec![Pixel::adding(0, 0, 1); limits::BATCH + 1];
    let mut bytes = Vec::new();
    Request::AddPixels { pixels: Pixels::from(&pixels[..]) }.encode_parameters(&mut bytes);
    let fault = Request::from_parameters(Method::AddPixels, &bytes).unwrap_err();
    assert_eq!(fault.code, Code::TooLarge);
    let recorded = Request::from_recorded(Method::AddPixels, &bytes).unwrap();
    assert_eq!(recorded.pixels().map(|pixels| pixels.len()), Some(limits::BATCH + 1));

    let mut bytes = Vec::new();
    Request::PutImage { x: 0, y: 0, width: 2, height: 2, rgba: &[0; 12] }.encode_parameters(&mut bytes);
    let fault = Request::from_recorded(Method::PutImage, &bytes).unwrap_err();
    assert!(fault.message.contains("rgba has 12 bytes; an image of 2x2 has 16"), "{fault}");
}

#[test]
fn parameters_are_read_back_and_nothing_may_follow() {
    let request = Request::FillRect { x: -1, y: 2, width: 3, height: 4, color: Color::RED };
    let mut bytes = Vec::new();
    request.encode_parameters(&mut bytes);
    let read = Request::from_parameters(Method::FillRect, &bytes).map(|request| request.call());
    assert_eq!(read, Ok(request.call()));
    bytes.push(0xc0);
    let fault = Request::from_parameters(Method::FillRect, &bytes).unwrap_err();
    assert_eq!(fault.to_string(), "invalid_argument: 1 bytes follow the parameters");
}

#[test]
fn answers_survive_and_may_grow() {
    for (method, answer) in [
        (Method::Sync, Answer::Done(())),
        (Method::SyncDurable, Answer::Done(())),
        (Method::GetPixel, Answer::Pixel(Color::from_u32(0xfffe_fdfc))),
        (Method::GetImage, Answer::Image(vec![1, 2, 3, 4])),
        (Method::GetDigest, Answer::Digest(Digest::from([7; 32]))),
        (Method::GetSize, Answer::Size(Size { width: 640, height: 480 })),
        (Method::GetMouse, Answer::Mouse(None)),
        (Method::GetMouse, Answer::Mouse(Some(Position { x: -1, y: 70_000 }))),
    ] {
        let mut out = Vec::new();
        answer.encode(&mut out);
        assert_eq!(method.decode_answer(&mut Reader::new(&out)), Ok(answer));
    }
    let grown = [0x94, 1, 2, 0x91, 3, 0xc0];
    assert_eq!(
        Method::GetMouse.decode_answer(&mut Reader::new(&grown)),
        Ok(Answer::Mouse(Some(Position { x: 1, y: 2 })))
    );
    for (method, lie) in [
        (Method::GetMouse, &[0x91, 1][..]),
        (Method::GetSize, &[0x92, 0xff, 1]),
        (Method::GetPixel, &[0xff]),
        (Method::GetImage, &[0x01]),
        (Method::GetDigest, &[0xc4, 4, 1, 2, 3, 4]),
    ] {
        assert!(method.decode_answer(&mut Reader::new(lie)).is_err(), "{method:?} {lie:?}");
    }
}
