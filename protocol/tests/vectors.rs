//! Checks that `protocol/spec/vectors.json` equals the output of the encoders, and that both sides handle the vectors
//! as it describes. To regenerate it: `UPDATE=1 cargo test -p draw-protocol --test vectors`.

mod common;
#[path = "common/spec.rs"]
mod files;
#[path = "vectors/json.rs"]
mod json;
#[path = "vectors/list.rs"]
mod list;

use common::{Host, SIZE, World};
use draw_protocol::{Hello, client, limits};
use list::{Use, Vector};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Lengths of messages at which XXH3-64 takes different branches.
const LENGTHS: [usize; 32] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 160, 239, 240, 241, 255,
    256, 512, 1023, 1024, 1025, 2048,
];

/// Returns a vector as one line of the file.
fn line(vector: &Vector) -> String {
    let mut fields = vec![
        ("name", json::text(&vector.name)),
        ("sender", json::text(vector.sender)),
        ("level", json::text(vector.level)),
    ];
    let message = if list::is_check(&vector.bytes) { &vector.bytes[18..] } else { &vector.bytes };
    fields.push(match vector.usage {
        Use::Exact => ("use", json::text("exact")),
        Use::Accept(_) => ("use", json::text("accept")),
        Use::Refuse(_) => ("use", json::text("refuse")),
    });
    match vector.usage {
        Use::Accept(Some(same)) => fields.push(("same_as", json::text(same))),
        Use::Refuse(code) => fields.push(("code", json::text(code))),
        _ => {}
    }
    if message.len() < vector.bytes.len() {
        let kind = if vector.bytes[3..8] == *b"check" { "xxh3" } else { "crc32" };
        let digest = json::hex(&vector.bytes[10..18]);
        fields.push(("check", format!("{{\"kind\": \"{kind}\", \"digest\": \"{digest}\"}}")));
    }
    if !matches!(vector.usage, Use::Refuse(_)) {
        let mut rest = message;
        fields.push(("message", json::value(&mut rest)));
        assert!(rest.is_empty(), "{}", vector.name);
    }
    fields.push(("bytes", json::text(&json::hex(&vector.bytes))));
    let fields: Vec<_> = fields.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("    {{{}}}", fields.join(", "))
}

fn digest_line(length: usize) -> String {
    let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + i / 256 + 1) as u8).collect();
    let (xxh3, crc32) = (xxh3_64(&bytes), crc32fast::hash(&bytes));
    let hex = json::hex(&bytes);
    format!(
        "    {{\"length\": {length}, \"xxh3\": \"{xxh3:016x}\", \"crc32\": \"{:016x}\", \"bytes\": \"{hex}\"}}",
        u64::from(crc32)
    )
}

#[test]
fn the_file_is_what_the_encoders_make() {
    let lines: Vec<_> = list::all().iter().map(line).collect();
    let digests: Vec<_> = LENGTHS.into_iter().map(digest_line).collect();
    let text = format!(
        "{{\n  \"version\": {},\n  \"vectors\": [\n{}\n  ],\n  \"digests\": [\n{}\n  ]\n}}\n",
        limits::VERSION,
        lines.join(",\n"),
        digests.join(",\n")
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/vectors.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("it can be written");
    }
    let file = std::fs::read_to_string(&path).expect("vectors.json");
    for (own, wanted) in file.lines().zip(text.lines()) {
        assert_eq!(own, wanted, "write it anew with UPDATE=1");
    }
    assert_eq!(file.len(), text.len(), "write it anew with UPDATE=1");
}

#[test]
fn every_vector_has_a_name_of_its_own_and_those_of_the_same_meaning_exist() {
    let all = list::all();
    let names: BTreeSet<_> = all.iter().map(|vector| &vector.name[..]).collect();
    assert_eq!(names.len(), all.len());
    for vector in &all {
        if let Use::Accept(Some(same)) = vector.usage {
            let other = all.iter().find(|other| other.name == same).unwrap_or_else(|| panic!("{same}"));
            assert_eq!((&other.usage, other.sender), (&Use::Exact, vector.sender), "{}", vector.name);
            assert_ne!(other.bytes, vector.bytes, "{} is written as {same}", vector.name);
        }
    }
    for level in ["plain", "hello", "session", "durable", "checks"] {
        assert!(all.iter().any(|vector| vector.level == level), "{level}");
    }
    for method in draw_protocol::Method::ALL {
        assert!(names.contains(format!("{}-request", method.name()).as_str()), "{method:?}");
    }
}

/// Returns the output of a server for the first bytes of a client, and the server's host with its picture.
fn said_to(bytes: &[u8]) -> (Vec<u8>, Host) {
    let mut host = Host::new(SIZE);
    let said = host.ask(bytes);
    (said, host)
}

#[test]
fn the_server_takes_each_vector_of_a_client_as_the_file_says() {
    let all = list::all();
    let by_name: BTreeMap<_, _> = all.iter().map(|vector| (&vector.name[..], vector)).collect();
    let mut refused = 0;
    for vector in all.iter().filter(|vector| vector.sender == "client") {
        let name = &vector.name;
        match vector.usage {
            Use::Accept(same) => {
                let same = by_name[same.expect("a vector of a client has the same meaning as another")];
                let ((said, host), (wanted, other)) = (said_to(&vector.bytes), said_to(&same.bytes));
                assert_eq!(said.escape_ascii().to_string(), wanted.escape_ascii().to_string(), "{name}");
                assert!(host.display == other.display, "{name}");
                assert!(host.server.closing().is_none(), "{name}");
            }
            Use::Refuse(code) => {
                refused += 1;
                let (said, host) = said_to(&vector.bytes);
                let said = said.escape_ascii().to_string();
                // Without a `msgid` no response is possible.
                let closes = host.server.closing().is_some_and(|fault| fault.code.as_str() == code);
                assert!(said.contains(code) || said.is_empty() && closes, "{name}: {said}");
                assert_eq!(host.server.stats().executed, u64::from(name == "refused-late-hello"), "{name}");
            }
            Use::Exact if vector.level == "plain" => {
                let (said, host) = said_to(&vector.bytes);
                assert!(host.server.closing().is_none(), "{name}: {}", said.escape_ascii());
                assert_eq!(said.is_empty(), vector.bytes[0] == 0x93, "{name} is answered");
                assert_eq!(host.server.stats().malformed, 0, "{name}");
            }
            Use::Exact => {}
        }
    }
    assert!(refused > 15);
}

/// Returns how a client handles these bytes as the answer to this request, or to `hello`.
fn heard(bytes: &[u8], request: Option<&draw_protocol::Request<'_>>) -> String {
    let mut world = World::silent(SIZE);
    if let Some(request) = request {
        world = world.greeted();
        world.call(request);
        world.client.poll_transmit();
    } else {
        world.client = client::Connection::new(&Hello::new("demo"));
        world.client.poll_transmit();
    }
    world.hear_from_server(bytes);
    format!("{:?} {} {:?}", world.told, world.client.done(), world.client.welcome())
}

#[test]
fn the_client_takes_each_other_form_of_a_server_as_the_file_says() {
    let all = list::all();
    for (vector, request) in list::other_answers() {
        let heard_so = heard(&vector.bytes, request.as_ref());
        match vector.usage {
            Use::Accept(Some(same)) => {
                let same = all.iter().find(|other| other.name == same).expect("a vector");
                assert_eq!(heard_so, heard(&same.bytes, request.as_ref()), "{}", vector.name);
            }
            _ => {
                let fault = vector.name.starts_with("fault");
                assert_eq!(heard_so.contains("Fault("), fault, "{}: {heard_so}", vector.name);
            }
        }
    }
}

#[test]
fn the_decoder_of_these_tests_knows_every_form() {
    for (bytes, wanted) in [
        (&b"\xd3\xff\xff\xff\xff\xff\xff\xff\xfe"[..], "-2"),
        (b"\xd0\x80", "-128"),
        (b"\xff", "-1"),
        (b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00", "{\"$int\": \"9007199254740992\"}"),
        (b"\xca\x3f\x80\x00\x00", "{\"$float\": \"1\"}"),
        (b"\xc4\x02\x00\xff", "{\"$bin\": \"00ff\"}"),
        (b"\xa2\xc3\xa9", "\"\\u00e9\""),
        (b"\xa1\xff", "{\"$str\": \"ff\"}"),
        (b"\xde\x00\x01\xa1a\xdc\x00\x02\xc0\xc3", "{\"a\": [null, true]}"),
    ] {
        let mut rest = bytes;
        assert_eq!((json::value(&mut rest).as_str(), rest.len()), (wanted, 0));
    }
}
