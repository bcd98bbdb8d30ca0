//! Helps the macros that generate the clients' methods from the table of calls.

/// The type of a parameter in the signature of a method.
macro_rules! argument {
    (Pixels $(, $life:lifetime)?) => { &$($life)? [draw_protocol::Pixel] };
    (Bytes $(, $life:lifetime)?) => { &$($life)? [u8] };
    ($other:ident $(, $life:lifetime)?) => { $other };
}
