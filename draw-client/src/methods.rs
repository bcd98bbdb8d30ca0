//! What both clients need to make their methods from the table of calls.

/// What a parameter of the table is in the signature of a method.
macro_rules! argument {
    (Pixels $(, $life:lifetime)?) => { &$($life)? [draw_protocol::Pixel] };
    (Bytes $(, $life:lifetime)?) => { &$($life)? [u8] };
    ($other:ident $(, $life:lifetime)?) => { $other };
}

/// Asks a question. An image may take several.
macro_rules! ask {
    ($self:ident, GetImage, $x:ident, $y:ident, $width:ident, $height:ident) => {
        $self.ask_image($x, $y, $width, $height)
    };
    ($self:ident, $Ask:ident $(, $p:ident)*) => {
        $self.ask(Request::$Ask { $($p),* })
    };
}
