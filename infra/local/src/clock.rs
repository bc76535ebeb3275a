//! The clock of this machine: the system's, or a virtual one that a simulated day moves by hand.
//!
//! Everything else here is handed this clock, so that a virtual day can replay exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Where the stand-ins read the time. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Milliseconds since 1970.
    Virtual(Arc<AtomicI64>),
    /// What it showed at an instant of the runtime's.
    Runtime(Timestamp, Instant),
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `instant` until it is set.
    pub fn at(instant: Timestamp) -> Self {
        Self(Source::Virtual(Arc::new(AtomicI64::new(instant.as_millisecond()))))
    }

    /// A clock that shows `instant` now and goes on with the runtime's time, which a test may have paused.
    pub fn from(instant: Timestamp) -> Self {
        Self(Source::Runtime(instant, Instant::now()))
    }

    /// The instant that it shows, in whole milliseconds.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => shared::clock::now(),
            Source::Virtual(millis) => {
                Timestamp::from_millisecond(millis.load(Ordering::SeqCst)).expect("only ever set from a timestamp")
            }
            Source::Runtime(instant, then) => *instant + Duration::from_millis(then.elapsed().as_millis() as u64),
        }
    }

    /// Moves a clock that stands still to `instant`, never backwards. The others go by themselves.
    pub fn set(&self, instant: Timestamp) {
        match &self.0 {
            Source::System | Source::Runtime(..) => {}
            Source::Virtual(millis) => {
                millis.fetch_max(instant.as_millisecond(), Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_the_runtime_goes_by_itself_and_is_not_set() {
        let clock = Clock::from("2026-11-02T09:00:00Z".parse().unwrap());

        clock.set("2026-11-02T11:00:00Z".parse().unwrap());
        tokio::time::sleep(Duration::from_secs(60)).await;

        assert_eq!(clock.now().to_string(), "2026-11-02T09:01:00Z");
    }

    #[test]
    fn a_virtual_clock_never_moves_backwards() {
        let clock = Clock::at("2026-11-02T09:00:00Z".parse().unwrap());

        clock.set("2026-11-02T10:00:00Z".parse().unwrap());
        clock.set("2026-11-02T08:00:00Z".parse().unwrap());

        assert_eq!(clock.now().to_string(), "2026-11-02T10:00:00Z");
    }
}
