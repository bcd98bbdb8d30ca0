//! The table of calls: the interface description from which everything else is generated.
//!
//! [`calls!`](crate::calls) hands its rows to a macro of the caller's. Here they become [`Method`], [`Request`],
//! [`Call`] and [`Answer`]; the client library makes its methods from them, SPEC.md's table is tested against them.
//! What a call does and how it travels are columns of its row: see [`columns`].

mod columns;
mod values;

pub use columns::{Cost, Effect, Join, JournalUse, Split};

use crate::color::Color;
use crate::digest::Digest;
use crate::fault::Fault;
use crate::geometry::{Position, Size};
use crate::limits;
use crate::pixels::Pixels;
use crate::reader::{Reader, Unexpected};
use std::fmt;
use values::{Parameter, Returned};

/// Passes the table of calls to the macro `$then`.
///
/// A row has the name of a call as a variant and on the wire, its parameters, and its columns in braces; what each column
/// decides stands at its type: [`Effect`], [`JournalUse`], [`Split`], [`Join`], [`Cost`]. A row of `acknowledged` has no answer
/// but nil, which progress may stand for. A row of `answered` has a response of its own each time; behind its arrow stand the
/// variant of [`Answer`] and the Rust type of what is in it.
///
/// A macro that needs no columns matches them as `{ $($column:tt)* }`, so a new column changes only the macros that read it.
#[macro_export]
macro_rules! calls {
    ($then:ident) => {
        $then! {
            acknowledged {
                /// Stores one pixel. Outside the display it is an error and nothing is drawn.
                DrawPixel: draw_pixel(x: i32, y: i32, color: Color)
                    { effect: Draw, journal: Append, split: Whole, join: Run, cost: Call };
                /// Stores many pixels, in order. Those outside the display are named by the error; all others are drawn.
                DrawPixels: draw_pixels(pixels: Pixels)
                    { effect: Draw, journal: Append, split: Batch, join: Alone, cost: Batch };
                /// Fills a rectangle. The part inside the display is drawn; if any lies outside, the error names it.
                FillRect: fill_rect(x: i32, y: i32, width: u32, height: u32, color: Color)
                    { effect: Draw, journal: Append, split: Whole, join: Alone, cost: Area };
                /// Stores an image: `width * height` pixels as bytes R, G, B, A, rows from the top. The part inside the
                /// display is drawn; if any lies outside, the error names it.
                PutImage: put_image(x: i32, y: i32, width: u32, height: u32, rgba: Bytes)
                    { effect: Draw, journal: Append, split: Rows, join: Alone, cost: Area };
                /// Fills the whole display.
                Clear: clear(color: Color)
                    { effect: Draw, journal: Append, split: Whole, join: Alone, cost: Display };
                /// Adds to the colour of one pixel, taken as the number 0xRRGGBBAA, and wraps: 0xffffffff and 1 make 0. No other
                /// connection comes in between, so counts add up exactly; executed twice, it adds twice. Outside the display
                /// it is an error and nothing is added.
                AddPixel: add_pixel(x: i32, y: i32, amount: u32)
                    { effect: Draw, journal: Append, split: Whole, join: Alone, cost: Call };
                /// Adds to many pixels, as `add_pixel` does, in order: in a record the amount stands in place of the colour.
                /// A place that is named twice gets both. Those outside the display are named by the error; to all others it
                /// is added.
                AddPixels: add_pixels(pixels: Pixels)
                    { effect: Draw, journal: Append, split: Batch, join: Alone, cost: Batch };
            }
            answered {
                /// The colour of one pixel.
                GetPixel: get_pixel(x: i32, y: i32) -> Pixel(Color)
                    { effect: Read, journal: Observe, split: Whole, join: Alone, cost: Call };
                /// A rectangle of the display as bytes R, G, B, A, rows from the top. It must lie inside the display.
                GetImage: get_image(x: i32, y: i32, width: u32, height: u32) -> Image(Vec<u8>)
                    { effect: Read, journal: Observe, split: Rows, join: Alone, cost: Area };
                /// The SHA-256 of exactly the bytes that `get_image` would answer: whether a picture is shown, without moving
                /// it. The rectangle must lie inside the display.
                GetDigest: get_digest(x: i32, y: i32, width: u32, height: u32) -> Digest(Digest)
                    { effect: Read, journal: Observe, split: Whole, join: Alone, cost: Call };
                /// Width and height of the display in pixels.
                GetSize: get_size() -> Size(Size)
                    { effect: Read, journal: Skip, split: Whole, join: Alone, cost: Call };
                /// Where the pointer is, in pixels of the display; nothing before it was seen.
                GetMouse: get_mouse() -> Mouse(Option<Position>)
                    { effect: Read, journal: Skip, split: Whole, join: Alone, cost: Call };
                /// Answers when everything before it on this connection has been drawn or has failed.
                Sync: sync() -> Done(())
                    { effect: Barrier, journal: Skip, split: Whole, join: Alone, cost: Call };
                /// Answers when everything before it on this connection, and in its session, has been drawn or has failed and is
                /// on the display's disk. A display that keeps no journal refuses it.
                SyncDurable: sync_durable() -> Done(())
                    { effect: Barrier, journal: Flush, split: Whole, join: Alone, cost: Call };
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
        acknowledged { $(
            $(#[doc = $draw_doc:literal])+
            $Draw:ident: $draw:ident($($dp:ident: $dt:ident),*) { $($draw_column:tt)* };
        )+ }
        answered { $(
            $(#[doc = $ask_doc:literal])+
            $Ask:ident: $ask:ident($($ap:ident: $at:ident),*) -> $Answer:ident($answer:ty) { $($ask_column:tt)* };
        )+ }
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

            /// Appends the array of parameters, as it stands in a message. Pixels become a run, in whatever form they came.
            pub fn encode_parameters(&self, out: &mut Vec<u8>) {
                crate::envelope::write_array_header(out, self.method().parameters().len());
                match *self {
                    $(Request::$Draw { $($dp),* } => { $($dp.encode(out);)* })+
                    $(Request::$Ask { $($ap),* } => { $($ap.encode(out);)* })+
                }
            }

            /// The same without bytes that a parameter consists of, whose length is written. They are to follow, so they
            /// must be the last parameter.
            pub(crate) fn encode_parameters_lending(&self, out: &mut Vec<u8>) {
                crate::envelope::write_array_header(out, self.method().parameters().len());
                match *self {
                    $(Request::$Draw { $($dp),* } => { $($dp.encode_lending(out);)* })+
                    $(Request::$Ask { $($ap),* } => { $($ap.encode_lending(out);)* })+
                }
            }

            /// Reads and checks the array of parameters.
            pub(crate) fn decode(method: Method, parameters: &mut Reader<'a>) -> Result<Request<'a>, Fault> {
                let request = Request::decode_unchecked(method, parameters)?;
                request.check()?;
                Ok(request)
            }

            /// Reads the array of parameters without [`Request::check`].
            fn decode_unchecked(method: Method, parameters: &mut Reader<'a>) -> Result<Request<'a>, Fault> {
                check_count(method, parameters)?;
                Ok(match method {
                    $(Method::$Draw => Request::$Draw {
                        $($dp: Parameter::decode(parameters, stringify!($dp))?),*
                    },)+
                    $(Method::$Ask => Request::$Ask {
                        $($ap: Parameter::decode(parameters, stringify!($ap))?),*
                    },)+
                })
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

            /// Reads the array of parameters as far as it tells the call. Of data the length is enough, and neither
            /// need all of it be there nor is it checked.
            pub(crate) fn glance(method: Method, parameters: &mut Reader<'_>) -> Result<Call, Fault> {
                check_count(method, parameters)?;
                Ok(match method {
                    $(Method::$Draw => Call::$Draw {
                        $($dp: <parameter!($dt, '_)>::glance(parameters, stringify!($dp))?),*
                    },)+
                    $(Method::$Ask => Call::$Ask {
                        $($ap: <parameter!($at, '_)>::glance(parameters, stringify!($ap))?),*
                    },)+
                })
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
    /// 32 bytes.
    Digest(Digest),
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
            Answer::Digest(digest) => digest.write(out),
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

impl<'a> Request<'a> {
    /// Reads what [`Request::encode_parameters`] has written, or what a client sent.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if these are not the parameters of `method`, or if anything comes after them;
    /// whatever [`Request::check`] finds.
    pub fn from_parameters(method: Method, parameters: &'a [u8]) -> Result<Request<'a>, Fault> {
        let request = Request::from_recorded(method, parameters)?;
        request.check()?;
        Ok(request)
    }

    /// Reads parameters that a display recorded, which may have had other limits: applies [`Request::check_shape`] only.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if these are not the parameters of `method`, or if anything comes after them.
    pub fn from_recorded(method: Method, parameters: &'a [u8]) -> Result<Request<'a>, Fault> {
        let mut reader = Reader::new(parameters);
        let request = Request::decode_unchecked(method, &mut reader)?;
        match reader.rest() {
            [] => request.check_shape().map(|()| request),
            rest => Err(Fault::invalid(format!("{} bytes follow the parameters", rest.len()))),
        }
    }

    /// Checks that the parameters agree with one another, whatever their size: an image has `width * height * 4` bytes.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if they do not.
    pub fn check_shape(&self) -> Result<(), Fault> {
        let Request::PutImage { width, height, rgba, .. } = *self else { return Ok(()) };
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

    /// Checks what the types of the parameters do not say. A request that fails is not executed at all.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for an image whose bytes are not `width * height * 4`.
    /// [`Code::TooLarge`](crate::Code::TooLarge) for a batch of more than [`limits::BATCH`] pixels, or the digest of more than [`limits::DIGEST`].
    pub fn check(&self) -> Result<(), Fault> {
        match *self {
            Request::PutImage { .. } => self.check_shape(),
            Request::DrawPixels { pixels } | Request::AddPixels { pixels }
                if pixels.len() > limits::BATCH =>
            {
                Err(Fault::too_large(self, pixels.len() as u64, limits::BATCH as u64))
            }
            Request::GetDigest { width, height, .. } => {
                let pixels = u64::from(width) * u64::from(height);
                if pixels <= limits::DIGEST {
                    return Ok(());
                }
                Err(Fault::too_large(self, pixels, limits::DIGEST))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
