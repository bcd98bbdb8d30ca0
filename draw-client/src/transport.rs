//! Byte streams to a display: addresses, TCP sockets and their options, and the side of a stream that is written to.
//!
//! This folder contains nothing of the protocol's rules. It may use `error`, `clock` and `limits`. A transport is a file here that makes
//! [`Halves`].

pub(crate) mod address;
pub(crate) mod blocking_tcp;
pub(crate) mod checksums;
mod dialer;
pub(crate) mod socket;
mod stream;
pub(crate) mod tcp;
mod writer;

pub(crate) use dialer::Dialer;
pub(crate) use stream::Halves;
pub(crate) use writer::Writer;
