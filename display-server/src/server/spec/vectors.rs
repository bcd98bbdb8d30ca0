//! Sends the vectors of a plain client to this server, which takes each as `vectors.json` says.

use super::Scene;
use draw_protocol::{Color, limits};
use std::collections::BTreeMap;

const VECTORS: &str = include_str!("../../../../protocol/spec/vectors.json");

/// Returns the string at this key of a line. Each vector is one line, and a test of the protocol keeps it so.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(&format!("\"{key}\": \""))?.1.split('"').next()
}

fn bytes(line: &str) -> Vec<u8> {
    let hex = field(line, "bytes").unwrap_or_else(|| panic!("{line} has no bytes"));
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")).collect()
}

/// Returns what the display says to these bytes until it ends the connection, and what is then at (1, 2).
async fn said_to(scene: &Scene, bytes: &[u8]) -> (String, Option<Color>) {
    let mut client = scene.connect();
    client.send(bytes).await;
    let said = client.rest().await;
    let framebuffer = scene.server.display().framebuffer();
    (said.escape_ascii().to_string(), framebuffer.get_pixel(1, 2))
}

#[tokio::test]
async fn the_server_takes_each_vector_of_a_plain_client_as_the_file_says() {
    let lines: Vec<_> = VECTORS.lines().filter(|line| line.contains("\"sender\": \"client\"")).collect();
    let by_name: BTreeMap<_, _> =
        lines.iter().map(|line| (field(line, "name").expect("a name"), line)).collect();
    let mut count = 0;
    for line in &lines {
        let (name, level) = (field(line, "name").expect("a name"), field(line, "level"));
        if level != Some("plain") && name != "checks-altered" {
            continue;
        }
        count += 1;
        let (said, pixel) = said_to(&Scene::new(false), &bytes(line)).await;
        match field(line, "use") {
            Some("refuse") => {
                let code = field(line, "code").expect("a code");
                // Without a `msgid` there is nothing to respond to.
                assert!(said.contains(code) || said.is_empty() && code == "malformed", "{name}: {said}");
                assert_eq!(pixel, Some(Color::BLACK), "{name}");
            }
            Some("accept") => {
                let same = by_name[field(line, "same_as").expect("a vector of the same meaning")];
                assert_eq!((said, pixel), said_to(&Scene::new(false), &bytes(same)).await, "{name}");
            }
            _ => {
                let is_known = ["malformed", "invalid_argument", "unknown_method"]
                    .iter()
                    .all(|code| !said.contains(code));
                assert!(is_known && said.is_empty() == (name == "draw_pixel-notification"), "{name}: {said}");
            }
        }
    }
    assert!(count > 150, "{count} vectors");
    assert!(VECTORS.contains(&format!("\"version\": {}", limits::VERSION)));
}
