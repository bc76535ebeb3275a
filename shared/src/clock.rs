//! The one place that reads the clock. Everything below takes `now` as its last argument.

use jiff::{Timestamp, Unit};

/// The present instant, to the millisecond: as fine as the table keeps it.
#[allow(clippy::disallowed_methods)] // this is the wrapper that the lint points to
pub fn now() -> Timestamp {
    Timestamp::now().round(Unit::Millisecond).unwrap_or(Timestamp::MAX)
}
