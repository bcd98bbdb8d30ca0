use crate::common::model::{Model, said};
use arbitrary::{Result, Unstructured};
use display_server::{Display, apply};
use draw_client::digest_of_image;
use draw_protocol::{Answer, Color, Request, Size};

/// The digest of a rectangle is that of the image of the same rectangle, which is that of a vector of colours; or both
/// are refused, for the same reason. Displays are wide, since a row is hashed in pieces of 4,096 pixels.
pub fn digest(data: &[u8]) {
    _ = run(&mut Unstructured::new(data));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let width = u32::from(input.arbitrary::<u16>()? % 9_000) + 1;
    let size = Size { width, height: u32::from(input.arbitrary::<u8>()? % 4) + 1 };
    let display = Display::new(size, Color::BLACK).expect("a small display");
    let mut model = Model::new(size);
    let mut ask = |request: &Request<'_>| {
        let framebuffer = display.framebuffer();
        let answered = said(apply(request, framebuffer, display.pointer(), &mut framebuffer.no_damage()));
        assert_eq!(answered, model.apply(request), "{}", request.call());
        answered
    };
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        // One rectangle to draw, and one to query, near the first or not.
        let (x, y) = (input.arbitrary::<i16>()?.into(), i32::from(input.arbitrary::<i8>()? % 6));
        let (width, height) = (input.arbitrary::<u16>()?.into(), u32::from(input.arbitrary::<u8>()? % 6));
        _ = ask(&Request::FillRect { x, y, width, height, color: Color::from_u32(input.arbitrary()?) });
        let near = input.arbitrary::<i8>()?;
        let (x, width) = match near {
            // Over the full width.
            0 => (0, size.width),
            near => (x + i32::from(near), width),
        };
        let image = ask(&Request::GetImage { x, y, width, height });
        let digest = ask(&Request::GetDigest { x, y, width, height });
        match (image, digest) {
            (Ok(Answer::Image(image)), Ok(Answer::Digest(digest))) => {
                assert_eq!(digest, digest_of_image(&image));
            }
            (image, digest) => assert_eq!((image.err(), None), (digest.as_ref().err().cloned(), digest.ok())),
        }
    }
    Ok(())
}
