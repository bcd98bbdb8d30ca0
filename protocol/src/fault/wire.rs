//! A fault as a map, as it crosses the wire after `hello`.

use super::{Code, Fault, Fields, NAMED, Range};
use crate::types::{Position, Size};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// What is read. Keys that this version does not know are skipped.
#[derive(Deserialize)]
pub(super) struct Map {
    code: Code,
    message: String,
    #[serde(default)]
    rejected: Vec<Range>,
    #[serde(default)]
    outside: Vec<(i32, i32)>,
    size: Option<(u32, u32)>,
    limit: Option<u64>,
}

impl From<Map> for Fault {
    fn from(map: Map) -> Fault {
        let Map { code, message, rejected, outside, size, limit } = map;
        let outside = outside.into_iter().take(NAMED).map(|(x, y)| Position { x, y }).collect();
        let size = size.map(|(width, height)| Size { width, height });
        let fields = Fields { rejected, outside, size, limit };
        Fault { code, message, fields: (fields != Fields::default()).then(|| Box::new(fields)) }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (rejected, outside) = (self.rejected(), self.outside());
        let has = [!rejected.is_empty(), !outside.is_empty(), self.size().is_some(), self.limit().is_some()];
        let count = 2 + has.into_iter().filter(|has| *has).count();
        let mut map = serializer.serialize_struct("Fault", count)?;
        map.serialize_field("code", &self.code)?;
        map.serialize_field("message", &self.message)?;
        if !rejected.is_empty() {
            map.serialize_field("rejected", rejected)?;
        }
        if !outside.is_empty() {
            let outside: Vec<_> = outside.iter().map(|at| (at.x, at.y)).collect();
            map.serialize_field("outside", &outside)?;
        }
        if let Some(Size { width, height }) = self.size() {
            map.serialize_field("size", &(width, height))?;
        }
        if let Some(limit) = self.limit() {
            map.serialize_field("limit", &limit)?;
        }
        map.end()
    }
}
