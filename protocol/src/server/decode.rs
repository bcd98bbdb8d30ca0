//! Decodes requests.

use super::ConnectionState;
use crate::codec::reader::Reader;
use crate::fault::{Code, Fault};
use crate::hello;
use crate::table::{Method, Request};

pub(super) fn is_known(method: &[u8]) -> bool {
    method == hello::HELLO.as_bytes() || Method::from_name(method).is_some()
}

pub(super) fn not_rpc() -> Fault {
    Fault::new(
        Code::Malformed,
        "this is no MessagePack-RPC message: [0, msgid, method, params] or [2, method, params]",
    )
}

impl ConnectionState {
    /// Decodes the request of the method with this name.
    ///
    /// # Errors
    /// [`Code::UnknownMethod`], [`Code::InvalidArgument`], and [`Code::TooLarge`] for an image whose answer is longer than a message
    /// may be.
    pub(super) fn decode<'a>(&self, name: &'a [u8], params: &mut Reader<'a>) -> Result<Request<'a>, Fault> {
        let Some(method) = Method::from_name(name) else {
            let shown: String = String::from_utf8_lossy(name).chars().take(64).collect();
            let hint = if name == hello::HELLO.as_bytes() {
                "hello may only be the first message of a connection".to_owned()
            } else {
                let known: Vec<_> = Method::ALL.iter().map(|m| m.name()).collect();
                format!("there is no method {shown:?}; there are {}", known.join(", "))
            };
            return Err(Fault::new(Code::UnknownMethod, hint));
        };
        let request = Request::decode(method, params)?;
        if let Request::GetImage { width, height, .. } = request {
            let bytes = u128::from(width) * u128::from(height) * 4;
            // A response is a few bytes of envelope around the image.
            let most = self.handshake.message - 64;
            if bytes > most as u128 {
                let message = format!(
                    "an image of {width}x{height} has {bytes} bytes; the limit is {most}: ask for bands of rows"
                );
                return Err(Fault::new(Code::TooLarge, message));
            }
        }
        Ok(request)
    }
}
