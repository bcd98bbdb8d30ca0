//! Tests that a recovered picture is always one that existed.

mod agreed;
mod document;
mod flips;
mod format;
mod gone;
mod held;
mod lives;
mod looked_at;
mod memory;
mod no_room;
mod no_room_served;
mod returning;
mod served;
mod versions;
mod world;
