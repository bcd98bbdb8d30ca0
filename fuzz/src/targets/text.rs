use display_server::arg_parsers::{parse_moment, parse_size};
use display_server::journal::inspect::Moment;
use display_server::limits;
use draw_client::parse_address;
use draw_examples::parse_duration;
use draw_protocol::{Color, Digest};
use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

/// Text that people type is read, and then prints as text that reads as the same value; or it is refused in a sentence
/// or two that explain how to write it, however long it is. Colours, digests, sizes, times and addresses are tested.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    round_trip::<Color>(&text, "rrggbb");
    round_trip::<Digest>(&text, "64 digits");
    address(&text);
    match parse_size(&text) {
        Ok(size) => {
            let sides = 1..=limits::SIDE;
            assert!(sides.contains(&size.width) && sides.contains(&size.height), "{size}");
            assert_eq!(parse_size(&size.to_string()), Ok(size));
        }
        Err(says) => is_short(&says, "640x480"),
    }
    match parse_duration(&text) {
        // Seconds and nanoseconds represent every accepted time exactly.
        Ok(time) => {
            assert_eq!(parse_duration(&format!("{}s {}ns", time.as_secs(), time.subsec_nanos())), Ok(time));
        }
        Err(says) => assert!(says.contains("write 50ms"), "{says}"),
    }
    match parse_moment(&text) {
        Ok(Moment::At(at)) => {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let again = parse_moment(&since.as_secs().to_string());
            assert_eq!(again, Ok(Moment::At(UNIX_EPOCH + Duration::from_secs(since.as_secs()))));
        }
        Ok(Moment::Before(before)) => {
            let again = parse_moment(&format!("-{}s {}ns", before.as_secs(), before.subsec_nanos()));
            assert_eq!(again, Ok(Moment::Before(before)));
        }
        Ok(Moment::End) => panic!("nothing that is typed is no moment"),
        Err(says) => assert!(says.contains("write "), "{says}"),
    }
}

fn round_trip<T>(text: &str, how: &str)
where
    T: FromStr<Err: Display + Debug + PartialEq> + Display + Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(read) => assert_eq!(read.to_string().parse(), Ok(read)),
        Err(error) => is_short(&error.to_string(), how),
    }
}

/// Checks that a message fits on a few lines of a terminal, though each typed character may be shown as ten.
fn is_short(says: &str, how: &str) {
    assert!(says.contains(how) && says.len() < 1_500, "{says}");
}

fn address(text: &str) {
    match parse_address(text) {
        Ok(address) => {
            assert!(!address.host.is_empty() && address.port > 0);
            // A host with a character that ends a host is not read again: no valid name has one.
            if !address.host.contains([']', '[']) {
                let shown = address.to_string();
                assert_eq!(parse_address(&shown).expect("it was read before"), address, "{shown:?}");
            }
        }
        Err(error) => is_short(&error.to_string(), "host:port"),
    }
}
