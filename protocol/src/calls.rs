//! The table of calls: the interface description from which everything else is generated.
//!
//! [`calls!`](crate::calls) hands its rows to a macro of the caller's. Here they become [`Method`], [`Request`],
//! [`Call`] and [`Answer`]; the client library makes its methods from them, SPEC.md's table is tested against them.

use crate::color::Color;
use crate::fault::{Code, Fault};
use crate::geometry::{Position, Size};
use crate::limits;
use crate::pixels::Pixels;
use crate::reader::{Reader, Unexpected};
use std::fmt;

/// Passes the table of calls to the macro `$then`.
///
/// A row of `draw` is a drawing call, answered with nil. A row of `ask` is a question; behind its arrow stand the
/// variant of [`Answer`] and the Rust type of what is in it.
#[macro_export]
macro_rules! calls {
    ($then:ident) => {
        $then! {
            draw {
                /// Stores one pixel. Outside the display it is an error and nothing is drawn.
                DrawPixel: draw_pixel(x: i32, y: i32, color: Color);
                /// Stores many pixels, in order. Those outside the display are named by the error; all others are drawn.
                DrawPixels: draw_pixels(pixels: Pixels);
                /// Fills a rectangle. The part inside the display is drawn; if any lies outside, the error names it.
                FillRect: fill_rect(x: i32, y: i32, width: u32, height: u32, color: Color);
                /// Stores an image: `width * height` pixels as bytes R, G, B, A, rows from the top. The part inside the
                /// display is drawn; if any lies outside, the error names it.
                PutImage: put_image(x: i32, y: i32, width: u32, height: u32, rgba: Bytes);
                /// Fills the whole display.
                Clear: clear(color: Color);
            }
            ask {
                /// The colour of one pixel.
                GetPixel: get_pixel(x: i32, y: i32) -> Pixel(Color);
                /// A rectangle of the display as bytes R, G, B, A, rows from the top. It must lie inside the display.
                GetImage: get_image(x: i32, y: i32, width: u32, height: u32) -> Image(Vec<u8>);
                /// Width and height of the display in pixels.
                GetSize: get_size() -> Size(Size);
                /// Where the pointer is, in pixels of the display; nothing before it was seen.
                GetMouse: get_mouse() -> Mouse(Option<Position>);
                /// Answers when everything before it on this connection has been drawn or has failed.
                Sync: sync() -> Done(());
            }
        }
    };
}

/// The Rust type of a parameter type of the table.
macro_rules! parameter {
    (Pixels, $life:lifetime) => { Pixels<$life> };
    (Bytes, $life:lifetime) => { &$life [u8] };
    ($other:ident, $life:lifetime) => { $other };
}

/// What is kept of a parameter while its call is under way: data becomes its length.
macro_rules! kept {
    (Pixels) => { Count<'p'> };
    (Bytes) => { Count<'b'> };
    ($other:ident) => { $other };
}

macro_rules! generate {
    (
        draw { $($(#[doc = $draw_doc:literal])+ $Draw:ident: $draw:ident($($dp:ident: $dt:ident),*);)+ }
        ask { $($(#[doc = $ask_doc:literal])+ $Ask:ident: $ask:ident($($ap:ident: $at:ident),*) -> $Answer:ident($answer:ty);)+ }
    ) => {
        /// The methods of a display.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[doc = $draw_doc])+ $Draw,)+
            $($(#[doc = $ask_doc])+ $Ask,)+
        }

        impl Method {
            /// Every method, in the order of the table.
            pub const ALL: &[Method] = &[$(Method::$Draw,)+ $(Method::$Ask,)+];

            /// Its name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Method::$Draw => stringify!($draw),)+
                    $(Method::$Ask => stringify!($ask),)+
                }
            }

            /// Its parameters, as `name: type`, in order.
            pub const fn parameters(self) -> &'static [(&'static str, &'static str)] {
                match self {
                    $(Method::$Draw => &[$((stringify!($dp), stringify!($dt))),*],)+
                    $(Method::$Ask => &[$((stringify!($ap), stringify!($at))),*],)+
                }
            }

            /// What it does, in a sentence or two.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Method::$Draw => concat!($($draw_doc),+),)+
                    $(Method::$Ask => concat!($($ask_doc),+),)+
                }
            }

            /// Whether its answer is what the caller wants (`get_...` and `sync`), rather than an acknowledgement.
            pub const fn is_question(self) -> bool {
                match self {
                    $(Method::$Draw => false,)+
                    $(Method::$Ask => true,)+
                }
            }

            /// The method of that name.
            pub fn from_name(name: &[u8]) -> Option<Method> {
                $(if name == stringify!($draw).as_bytes() { return Some(Method::$Draw); })+
                $(if name == stringify!($ask).as_bytes() { return Some(Method::$Ask); })+
                None
            }
        }

        /// A request with its parameters, which borrow from wherever the bytes are.
        #[derive(Debug, Clone, Copy)]
        pub enum Request<'a> {
            $($(#[doc = $draw_doc])+ $Draw { $(#[doc = stringify!($dp)] $dp: parameter!($dt, 'a)),* },)+
            $($(#[doc = $ask_doc])+ $Ask { $(#[doc = stringify!($ap)] $ap: parameter!($at, 'a)),* },)+
        }

        impl<'a> Request<'a> {
            /// Which method it calls.
            pub fn method(&self) -> Method {
                match self {
                    $(Request::$Draw { .. } => Method::$Draw,)+
                    $(Request::$Ask { .. } => Method::$Ask,)+
                }
            }

            /// The call without its data.
            pub fn call(&self) -> Call {
                match *self {
                    $(Request::$Draw { $($dp),* } => Call::$Draw { $($dp: $dp.keep()),* },)+
                    $(Request::$Ask { $($ap),* } => Call::$Ask { $($ap: $ap.keep()),* },)+
                }
            }

            /// Writes the array of parameters.
            pub(crate) fn encode_parameters(&self, out: &mut Vec<u8>) {
                crate::envelope::write_array_header(out, self.method().parameters().len());
                match *self {
                    $(Request::$Draw { $($dp),* } => { $($dp.encode(out);)* })+
                    $(Request::$Ask { $($ap),* } => { $($ap.encode(out);)* })+
                }
            }

            /// Reads and checks the array of parameters.
            pub(crate) fn decode(method: Method, parameters: &mut Reader<'a>) -> Result<Request<'a>, Fault> {
                check_count(method, parameters)?;
                let request = match method {
                    $(Method::$Draw => Request::$Draw {
                        $($dp: Parameter::decode(parameters, stringify!($dp))?),*
                    },)+
                    $(Method::$Ask => Request::$Ask {
                        $($ap: Parameter::decode(parameters, stringify!($ap))?),*
                    },)+
                };
                request.check()?;
                Ok(request)
            }
        }

        /// A call without its data: what errors and traces say of it. It prints as the program wrote it:
        /// `draw_pixel(700, 10, #ff0000ff)`, `draw_pixels(200 pixels)`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Call {
            $($(#[doc = $draw_doc])+ $Draw { $(#[doc = stringify!($dp)] $dp: kept!($dt)),* },)+
            $($(#[doc = $ask_doc])+ $Ask { $(#[doc = stringify!($ap)] $ap: kept!($at)),* },)+
        }

        impl Call {
            /// Which method it calls.
            pub fn method(&self) -> Method {
                match self {
                    $(Call::$Draw { .. } => Method::$Draw,)+
                    $(Call::$Ask { .. } => Method::$Ask,)+
                }
            }
        }

        impl fmt::Display for Call {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fn list(f: &mut fmt::Formatter<'_>, values: &[&dyn fmt::Display]) -> fmt::Result {
                    values.iter().enumerate().try_for_each(|(i, value)| {
                        write!(f, "{}{value}", if i == 0 { "" } else { ", " })
                    })
                }
                write!(f, "{}(", self.method().name())?;
                match self {
                    $(Call::$Draw { $($dp),* } => list(f, &[$($dp),*])?,)+
                    $(Call::$Ask { $($ap),* } => list(f, &[$($ap),*])?,)+
                }
                f.write_str(")")
            }
        }

        impl Method {
            /// Reads the answer to a question.
            pub(crate) fn decode_answer(self, result: &mut Reader<'_>) -> Result<Answer, Unexpected> {
                Ok(match self {
                    $(Method::$Draw => { result.skip()?; Answer::Done(()) })+
                    $(Method::$Ask => Answer::$Answer(<$answer as Returned>::read(result)?),)+
                })
            }
        }
    };
}

calls!(generate);

/// What a request is answered with when it succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done: nil on the wire.
    Done(()),
    /// A colour: the number 0xRRGGBBAA.
    Pixel(Color),
    /// Bytes R, G, B, A, rows from the top.
    Image(Vec<u8>),
    /// `[width, height]`.
    Size(Size),
    /// `[x, y]`, or nil before any pointer was seen.
    Mouse(Option<Position>),
}

impl Answer {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Answer::Done(()) => ().write(out),
            Answer::Pixel(color) => color.write(out),
            Answer::Image(bytes) => bytes.write(out),
            Answer::Size(size) => size.write(out),
            Answer::Mouse(position) => position.write(out),
        }
    }
}

/// How much data a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<const UNIT: char>(pub u32);

impl<const UNIT: char> fmt::Display for Count<UNIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if UNIT == 'p' { "pixel" } else { "byte" };
        write!(f, "{} {unit}{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

impl<const UNIT: char> Count<UNIT> {
    fn of(length: usize) -> Count<UNIT> {
        Count(u32::try_from(length).unwrap_or(u32::MAX))
    }
}

/// A parameter of a request.
trait Parameter<'a>: Sized {
    type Kept;
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<Self, Fault>;
    fn keep(&self) -> Self::Kept;
}

/// Reads a whole number within `T`; says what was wanted otherwise.
fn whole<T: TryFrom<i64>>(reader: &mut Reader<'_>, name: &str, wanted: &str) -> Result<T, Fault> {
    let refuse = |what: String| Fault::invalid(format!("{name} is to be {wanted}, not {what}"));
    let n = reader.int().map_err(|Unexpected(what)| refuse(what))?;
    T::try_from(n).map_err(|_| refuse(n.to_string()))
}

impl<'a> Parameter<'a> for i32 {
    type Kept = i32;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::envelope::write_int(out, i64::from(*self));
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<i32, Fault> {
        whole(reader, name, "a whole number from -2147483648 to 2147483647")
    }
    fn keep(&self) -> i32 {
        *self
    }
}

impl<'a> Parameter<'a> for u32 {
    type Kept = u32;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::envelope::write_int(out, i64::from(*self));
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<u32, Fault> {
        whole(reader, name, "a whole number from 0 to 4294967295")
    }
    fn keep(&self) -> u32 {
        *self
    }
}

impl<'a> Parameter<'a> for Color {
    type Kept = Color;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::envelope::write_int(out, i64::from(self.to_u32()));
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<Color, Fault> {
        whole(reader, name, "a number 0xRRGGBBAA, from 0 to 4294967295").map(Color::from_u32)
    }
    fn keep(&self) -> Color {
        *self
    }
}

impl<'a> Parameter<'a> for &'a [u8] {
    type Kept = Count<'b'>;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::envelope::write_bin_header(out, self.len());
        out.extend_from_slice(self);
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<&'a [u8], Fault> {
        reader
            .bytes()
            .map_err(|Unexpected(what)| Fault::invalid(format!("{name} is to be a bin, not {what}")))
    }
    fn keep(&self) -> Count<'b'> {
        Count::of(self.len())
    }
}

impl<'a> Parameter<'a> for Pixels<'a> {
    type Kept = Count<'p'>;
    fn encode(&self, out: &mut Vec<u8>) {
        Pixels::encode(self, out);
    }
    fn decode(reader: &mut Reader<'a>, _name: &str) -> Result<Pixels<'a>, Fault> {
        Pixels::decode(reader)
    }
    fn keep(&self) -> Count<'p'> {
        Count::of(self.len())
    }
}

/// The value of an answer.
trait Returned: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(reader: &mut Reader<'_>) -> Result<Self, Unexpected>;
}

impl Returned for () {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(0xc0);
    }
    fn read(reader: &mut Reader<'_>) -> Result<(), Unexpected> {
        reader.skip().map(|_| ())
    }
}

impl Returned for Color {
    fn write(&self, out: &mut Vec<u8>) {
        crate::envelope::write_int(out, i64::from(self.to_u32()));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Color, Unexpected> {
        bounded(reader).map(Color::from_u32)
    }
}

impl Returned for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        crate::envelope::write_bin_header(out, self.len());
        out.extend_from_slice(self);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Vec<u8>, Unexpected> {
        reader.bytes().map(<[u8]>::to_vec)
    }
}

impl Returned for Size {
    fn write(&self, out: &mut Vec<u8>) {
        crate::envelope::write_array_header(out, 2);
        crate::envelope::write_int(out, i64::from(self.width));
        crate::envelope::write_int(out, i64::from(self.height));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Size, Unexpected> {
        pair(reader).map(|(width, height)| Size { width, height })
    }
}

impl Returned for Option<Position> {
    fn write(&self, out: &mut Vec<u8>) {
        let Some(Position { x, y }) = *self else { return out.push(0xc0) };
        crate::envelope::write_array_header(out, 2);
        crate::envelope::write_int(out, i64::from(x));
        crate::envelope::write_int(out, i64::from(y));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Option<Position>, Unexpected> {
        if reader.nil() {
            return Ok(None);
        }
        pair(reader).map(|(x, y)| Some(Position { x, y }))
    }
}

fn bounded<T: TryFrom<i64>>(reader: &mut Reader<'_>) -> Result<T, Unexpected> {
    let n = reader.int()?;
    T::try_from(n).map_err(|_| Unexpected(n.to_string()))
}

/// The first two numbers of an array; more may follow in later versions.
fn pair<T: TryFrom<i64>>(reader: &mut Reader<'_>) -> Result<(T, T), Unexpected> {
    let count = reader.array()?;
    if count < 2 {
        return Err(Unexpected(format!("an array of {count}")));
    }
    let pair = (bounded(reader)?, bounded(reader)?);
    (2..count).try_for_each(|_| reader.skip().map(|_| ()))?;
    Ok(pair)
}

fn check_count(method: Method, parameters: &mut Reader<'_>) -> Result<(), Fault> {
    let wanted = method.parameters();
    let signature = || {
        let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
        format!("{}({})", method.name(), names.join(", "))
    };
    match parameters.array() {
        Ok(count) if count as usize == wanted.len() => Ok(()),
        Ok(count) => {
            let plural = if wanted.len() == 1 { "" } else { "s" };
            let message = format!("{} takes {} parameter{plural}, not {count}", signature(), wanted.len());
            Err(Fault::invalid(message))
        }
        Err(Unexpected(what)) => {
            Err(Fault::invalid(format!("the parameters of {} are to be an array, not {what}", signature())))
        }
    }
}

impl Request<'_> {
    /// Checks what the types of the parameters do not say. A request that fails is not executed at all.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for an image whose bytes are not `width * height * 4`.
    /// [`Code::TooLarge`] for a batch of more than [`limits::BATCH`] pixels.
    pub fn check(&self) -> Result<(), Fault> {
        match *self {
            Request::PutImage { width, height, rgba, .. } => {
                let wanted = u64::from(width) * u64::from(height);
                // In quarters: four times the product may not fit u64.
                if rgba.len() % 4 == 0 && rgba.len() as u64 / 4 == wanted {
                    return Ok(());
                }
                Err(Fault::invalid(format!(
                    "rgba has {} bytes; an image of {width}x{height} has {}",
                    rgba.len(),
                    u128::from(wanted) * 4
                )))
            }
            Request::DrawPixels { pixels } if pixels.len() > limits::BATCH => Err(Fault::new(
                Code::TooLarge,
                format!("{} pixels in one call; the limit is {}", pixels.len(), limits::BATCH),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Pixel;

    fn decode(method: Method, bytes: &[u8]) -> Result<String, String> {
        Request::decode(method, &mut Reader::new(bytes))
            .map(|r| r.call().to_string())
            .map_err(|f| f.to_string())
    }

    #[test]
    fn every_request_survives_its_parameters() {
        let pixels = [Pixel::new(1, 2, Color::RED)];
        for request in [
            Request::DrawPixel { x: -1, y: 70_000, color: Color::from_u32(0x0102_0304) },
            Request::DrawPixels { pixels: Pixels::from(&pixels[..]) },
            Request::FillRect { x: i32::MIN, y: i32::MAX, width: u32::MAX, height: 0, color: Color::WHITE },
            Request::PutImage { x: 0, y: 0, width: 1, height: 2, rgba: &[1, 2, 3, 4, 5, 6, 7, 8] },
            Request::Clear { color: Color::BLACK },
            Request::GetPixel { x: 5, y: 6 },
            Request::GetImage { x: 0, y: 1, width: 2, height: 3 },
            Request::GetSize {},
            Request::GetMouse {},
            Request::Sync {},
        ] {
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
        let call = Call::PutImage { x: 0, y: -1, width: 2, height: 1, rgba: Count(8) };
        assert_eq!(call.to_string(), "put_image(0, -1, 2, 1, 8 bytes)");
        assert_eq!(Call::GetSize {}.to_string(), "get_size()");
        // Kept for each of up to 65,536 calls in flight.
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
            (
                Method::Clear,
                &[0x91, 0xff],
                "color is to be a number 0xRRGGBBAA, from 0 to 4294967295, not -1",
            ),
            (Method::FillRect, &[0x95, 0, 0, 0xff, 1, 0], "width is to be a whole number from 0"),
            (Method::PutImage, &[0x95, 0, 0, 1, 1, 0xc4, 3, 1, 2, 3], "3 bytes; an image of 1x1 has 4"),
            (Method::PutImage, &[0x95, 0, 0, 1, 1, 5], "rgba is to be a bin, not 5"),
        ] {
            let text = decode(method, bytes).unwrap_err();
            assert!(text.starts_with("invalid_argument: ") && text.contains(says), "{text}");
        }
        let huge = [&[0x95, 0, 0][..], &[0xce, 255, 255, 255, 255], &[0xce, 255, 255, 255, 255], &[0xc4, 0]]
            .concat();
        let text = decode(Method::PutImage, &huge).unwrap_err();
        assert!(text.contains("an image of 4294967295x4294967295 has 73786976260478468100"), "{text}");
    }

    #[test]
    fn answers_survive_and_may_grow() {
        for (method, answer) in [
            (Method::Sync, Answer::Done(())),
            (Method::GetPixel, Answer::Pixel(Color::from_u32(0xfffe_fdfc))),
            (Method::GetImage, Answer::Image(vec![1, 2, 3, 4])),
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
        ] {
            assert!(method.decode_answer(&mut Reader::new(lie)).is_err(), "{method:?} {lie:?}");
        }
    }
}
