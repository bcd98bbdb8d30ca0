//! Reads requests from their parameters and checks what the types of the parameters do not say.

use super::{Method, Request};
use crate::codec::reader::Reader;
use crate::fault::Fault;
use crate::limits;

impl<'a> Request<'a> {
    /// Reads what [`Request::encode_parameters`] has written, or what a client sent.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if these are not the parameters of `method`, or if anything
    /// comes after them; any error of [`Request::check`].
    pub fn from_parameters(method: Method, parameters: &'a [u8]) -> Result<Request<'a>, Fault> {
        let request = Request::from_recorded(method, parameters)?;
        request.check()?;
        Ok(request)
    }

    /// Reads parameters that a display recorded, which may have had other limits: applies [`Request::check_shape`] only.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if these are not the parameters of `method`, or if anything comes after them.
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
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if they do not.
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
