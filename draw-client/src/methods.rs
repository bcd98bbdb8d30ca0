//! What both clients need to make their methods from the table of calls.

/// What a parameter of the table is in the signature of a method.
macro_rules! argument {
    (Pixels $(, $life:lifetime)?) => { &$($life)? [draw_protocol::Pixel] };
    (Bytes $(, $life:lifetime)?) => { &$($life)? [u8] };
    ($other:ident $(, $life:lifetime)?) => { $other };
}
