//! The rows of the table: every call with its parameters, its answer and its columns.

/// Passes the table of calls to the macro `$then`.
///
/// A row has the name of a call as a variant and on the wire, its parameters, and its columns in braces. The types of the
/// columns document them: [`Effect`](crate::Effect), [`JournalUse`](crate::JournalUse), [`Split`](crate::Split),
/// [`Join`](crate::Join), [`Cost`](crate::Cost). A row of `acknowledged` has no answer but nil, and progress can acknowledge
/// it. A row of `answered` always has a response; its arrow is followed by the variant of [`Answer`](crate::Answer) and the
/// Rust type of its value.
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
                /// Returns when everything before it on this connection has been drawn or has failed.
                Sync: sync() -> Done(())
                    { effect: Barrier, journal: Skip, split: Whole, join: Alone, cost: Call };
                /// Returns when everything before it on this connection, and in its session, has been drawn or has failed and is
                /// on the display's disk. A display that keeps no journal refuses it.
                SyncDurable: sync_durable() -> Done(())
                    { effect: Barrier, journal: Flush, split: Whole, join: Alone, cost: Call };
            }
        }
    };
}
