//! What the rows of the table become: [`Method`], [`Request`] and [`Call`].

use super::Answer;
use super::pixels::Pixels;
use super::values::{Count, Parameter, Returned};
use crate::codec::reader::{Reader, Unexpected};
use crate::fault::Fault;
use crate::types::{Color, Digest, Position, Size};
use std::fmt;

/// The Rust type of a parameter type of the table.
macro_rules! parameter {
    (Pixels, $life:lifetime) => { Pixels<$life> };
    (Bytes, $life:lifetime) => { &$life [u8] };
    ($other:ident, $life:lifetime) => { $other };
}

/// The type of a parameter in [`Call`]: data becomes its length.
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

            /// Returns its name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Method::$Draw => stringify!($draw),)+
                    $(Method::$Ask => stringify!($ask),)+
                }
            }

            /// Returns its parameters, as `name: type`, in order.
            pub const fn parameters(self) -> &'static [(&'static str, &'static str)] {
                match self {
                    $(Method::$Draw => &[$((stringify!($dp), stringify!($dt))),*],)+
                    $(Method::$Ask => &[$((stringify!($ap), stringify!($at))),*],)+
                }
            }

            /// Returns its documentation, a sentence or two.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Method::$Draw => concat!($($draw_doc),+),)+
                    $(Method::$Ask => concat!($($ask_doc),+),)+
                }
            }

            /// Returns the method with this name.
            pub fn from_name(name: &[u8]) -> Option<Method> {
                $(if name == stringify!($draw).as_bytes() { return Some(Method::$Draw); })+
                $(if name == stringify!($ask).as_bytes() { return Some(Method::$Ask); })+
                None
            }
        }

        /// A request with its parameters, which borrow from the bytes of the message.
        #[derive(Debug, Clone, Copy)]
        pub enum Request<'a> {
            $($(#[doc = $draw_doc])+ $Draw { $(#[doc = stringify!($dp)] $dp: parameter!($dt, 'a)),* },)+
            $($(#[doc = $ask_doc])+ $Ask { $(#[doc = stringify!($ap)] $ap: parameter!($at, 'a)),* },)+
        }

        impl<'a> Request<'a> {
            /// Returns its method.
            pub fn method(&self) -> Method {
                match self {
                    $(Request::$Draw { .. } => Method::$Draw,)+
                    $(Request::$Ask { .. } => Method::$Ask,)+
                }
            }

            /// Returns the call without its data.
            pub fn call(&self) -> Call {
                match *self {
                    $(Request::$Draw { $($dp),* } => Call::$Draw { $($dp: $dp.keep()),* },)+
                    $(Request::$Ask { $($ap),* } => Call::$Ask { $($ap: $ap.keep()),* },)+
                }
            }

            /// Appends the array of parameters, as it stands in a message. Pixels become a run, in whatever form they came.
            pub fn encode_parameters(&self, out: &mut Vec<u8>) {
                crate::codec::envelope::write_array_header(out, self.method().parameters().len());
                match *self {
                    $(Request::$Draw { $($dp),* } => { $($dp.encode(out);)* })+
                    $(Request::$Ask { $($ap),* } => { $($ap.encode(out);)* })+
                }
            }

            /// Appends the parameters, but of a parameter of bytes only the header. The caller sends the bytes next, so they
            /// must be the last parameter.
            pub(crate) fn encode_parameters_lending(&self, out: &mut Vec<u8>) {
                crate::codec::envelope::write_array_header(out, self.method().parameters().len());
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
            pub(super) fn decode_unchecked(method: Method, parameters: &mut Reader<'a>) -> Result<Request<'a>, Fault> {
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

        /// A call without its data, as errors and traces show it. It prints as the program wrote it: `draw_pixel(700, 10,
        /// #ff0000ff)`, `draw_pixels(200 pixels)`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Call {
            $($(#[doc = $draw_doc])+ $Draw { $(#[doc = stringify!($dp)] $dp: kept!($dt)),* },)+
            $($(#[doc = $ask_doc])+ $Ask { $(#[doc = stringify!($ap)] $ap: kept!($at)),* },)+
        }

        impl Call {
            /// Returns its method.
            pub fn method(&self) -> Method {
                match self {
                    $(Call::$Draw { .. } => Method::$Draw,)+
                    $(Call::$Ask { .. } => Method::$Ask,)+
                }
            }

            /// Reads the array of parameters without its data. Only the length of data is read; the data may be cut off and is
            /// not checked.
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

crate::calls!(generate);

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
