//! Never twice, never lost, under fire: whole days of several schools while AWS, Twilio and our own processes fail, and an
//! independent judge of what came of them.
//!
//! `cargo test --release -p tests chaos`. Which seeds, and how long: `CHAOS_SEEDS=0..200`, `CHAOS_MINUTES=60` for new ones
//! after them. A seed that fails is printed with the shortest sequence that still fails; `CHAOS_SHRINK=no` spares that.

mod drive;
mod evidence;
mod gather;
mod judge;
mod people;
mod plan;
mod seeds;
mod shrink;
mod sky;
