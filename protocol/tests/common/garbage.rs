//! Random bytes, and damaged valid bytes.

use proptest::prelude::*;

/// Generates valid and invalid pieces of MessagePack-RPC, with which random input gets past its first byte.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "draw_pixel",
        "draw_pixels",
        "fill_rect",
        "put_image",
        "clear",
        "add_pixel",
        "add_pixels",
        "get_pixel",
        "get_image",
        "get_digest",
        "get_size",
        "get_mouse",
        "sync",
        "hello",
        "progress",
        "goodbye",
        "check",
        "version",
        "code",
        "message",
        "rejected",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        (0..3u8, 0..8u8).prop_map(|(kind, msgid)| vec![0x94, kind, msgid]),
        Just(vec![0x93, 2]),
        any::<u8>().prop_map(|n| [&b"\x93\x02\xa5check\x91\xcf"[..], &[n; 8]].concat()),
        prop::sample::select(words.to_vec()).prop_map(|word| [
            &[0xa0 | word.len() as u8][..],
            word.as_bytes()
        ]
        .concat()),
        (0..6u8).prop_map(|n| vec![0x90 | n]),
        (0..3u8).prop_map(|n| vec![0x80 | n]),
        Just(vec![0xc0]),
        (0..20u8).prop_map(|n| [&[0xc4, n][..], &vec![n; n.into()]].concat()),
        (0xc4..=0xdfu8, any::<u32>()).prop_map(|(marker, n)| [&[marker][..], &n.to_be_bytes()].concat()),
    ]
}

pub(crate) fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600),
        4 => prop::collection::vec(fragment(), 0..60).prop_map(|fragments| fragments.concat()),
    ]
}

#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<usize>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), fragment()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), 1..30usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        (at(), 1..60usize).prop_map(|(at, n)| Damage::Repeat(at, n)),
    ]
}

pub(crate) fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len();
        let place = |at: usize, n: usize| {
            let from = at % (length + 1);
            from..(from + n).min(length)
        };
        match damage {
            Damage::Set(at, byte) => bytes[place(*at, 1)].fill(*byte),
            Damage::Insert(at, more) => _ = bytes.splice(place(*at, 0), more.iter().copied()),
            Damage::Remove(at, n) => _ = bytes.drain(place(*at, *n)),
            Damage::Repeat(at, n) => {
                let again = bytes[place(*at, *n)].to_vec();
                bytes.splice(place(*at, 0), again);
            }
        }
    }
    bytes
}
