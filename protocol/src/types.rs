//! The values that calls take and return. They know nothing of the wire.

mod color;
mod digest;
mod display_name;
mod geometry;

pub use color::{Color, ParseColorError};
pub use digest::{Digest, ParseDigestError};
pub use display_name::{DisplayName, ParseDisplayNameError};
pub use geometry::{Area, Position, Size};
