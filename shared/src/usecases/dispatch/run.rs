//! A run of the dispatch: the instant that it goes by, and how long it has been at it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A run takes no other tenant after so long, and looks for no other unknown outcome.
pub const LONGEST_RUN: Duration = Duration::from_secs(60);

/// The instant that a run is for, and the stopwatch that was started then.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub now: Timestamp,
    pub started: Instant,
}

impl Run {
    pub fn at(now: Timestamp) -> Self {
        Self { now, started: Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The instant that it is by now, for what must not count from the run's beginning. In whole seconds after that, so that
    /// a quick run on a virtual clock can be repeated.
    pub fn instant(&self) -> Timestamp {
        self.now + Duration::from_secs(self.elapsed().as_secs())
    }
}
