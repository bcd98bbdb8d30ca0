//! Two pictures in one file.

use crate::Result;
use display_server::Size;
use display_server::output::{self, Patience};
use std::path::Path;

/// The columns between the two pictures: a white line, with a margin on either side.
const BETWEEN: [[u8; 4]; 9] = {
    let mut columns = [[0, 0, 0, 255]; 9];
    columns[4] = [255; 4];
    columns
};

/// Writes both pictures, of bytes R, G, B, A and of equal size, side by side.
pub(crate) fn write(left: &[u8], right: &[u8], size: Size, path: &Path) -> Result<()> {
    let stride = 4 * size.width as usize;
    let rows = left.chunks(stride).zip(right.chunks(stride));
    let both: Vec<u8> =
        rows.flat_map(|(left, right)| [left, BETWEEN.as_flattened(), right].concat()).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2 * size.width + BETWEEN.len() as u32, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_compression(png::Compression::High);
    // Without filters, the right half of a row repeats the left one, which compresses to almost nothing.
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&both)?;
    writer.finish()?;
    let written = output::write(path, Patience::default(), |out| out.write_all(&file));
    written.map_err(|error| {
        format!("cannot write {} ({error}): {}", path.display(), output::hint(&error)).into()
    })
}
