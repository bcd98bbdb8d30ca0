//! The cost of an idle connection.

use crate::measure::{Ends, Load, Unit};
use crate::memory::CONNECTIONS;
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;

/// The largest cost in KiB.
const MOST: f64 = 16.0;

pub(super) fn groups(scene: &Scene) -> Vec<Group> {
    let Some(memory) = &scene.memory else { return Vec::new() };
    let load = Load { calls: CONNECTIONS, pixels: 0 };
    let row = |name: &str, bytes: &Result<f64, String>| match bytes.clone() {
        Ok(bytes) => Row::new(name, Unit::Memory, load, Ends::default(), move |watch, _| {
            watch.record(bytes);
            Ok(())
        })
        .target(Target::AtMost(MOST)),
        Err(reason) => Row::missing(name, Unit::Memory, &reason),
    };
    let rows = vec![
        row("idle connection, growth of the process", &memory.resident),
        row("idle connection, the server's accounting", &memory.accounted),
    ];
    vec![Group::new("An idle connection", rows).every(u32::MAX)]
}
