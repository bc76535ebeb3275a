//! How many requests one account has under way: more while Twilio takes them, half when it says 429.
//!
//! Twilio limits concurrent requests by account and tells the limit to nobody; additive increase and
//! multiplicative decrease finds it (lessons B7).

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::client::{Outcome, TOO_MANY_REQUESTS};

const FIRST: f64 = 32.0;
const MOST: f64 = 64.0;

/// The window of one account.
#[derive(Debug)]
pub struct Window {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    size: f64,
    under_way: u32,
    /// Answers since the window last shrank: those sent before it did say nothing new.
    since_shrunk: u32,
}

/// A place in the window; it is given back when this is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Window);

impl Default for Window {
    fn default() -> Self {
        let state = State { size: FIRST, under_way: 0, since_shrunk: u32::MAX };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }
}

impl Window {
    /// Waits for a place.
    pub async fn turn(&self) -> Turn<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if f64::from(state.under_way) < state.size.floor().max(1.0) {
                    state.under_way += 1;
                    return Turn(self);
                }
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Learns from what Twilio answered.
    pub fn learn(&self, outcome: &Outcome) {
        let mut state = self.0.lock();
        state.since_shrunk = state.since_shrunk.saturating_add(1);
        match outcome {
            Outcome::NotProcessed { code: Some(TOO_MANY_REQUESTS), .. } => {
                if f64::from(state.since_shrunk) > state.size {
                    state.size = (state.size / 2.0).max(1.0);
                    state.since_shrunk = 0;
                }
            }
            Outcome::Accepted { .. } => state.size = (state.size + 1.0 / state.size).min(MOST),
            Outcome::NotProcessed { .. } | Outcome::Refused { .. } | Outcome::Unknown { .. } | Outcome::NotAsked => {}
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::message::Status;

    const THROTTLED: Outcome = Outcome::NotProcessed { wait: Duration::ZERO, code: Some(TOO_MANY_REQUESTS) };

    #[tokio::test]
    async fn it_halves_once_for_one_burst_and_grows_by_one_a_round() {
        let window = Window::default();
        let turn = window.turn().await;

        (0..10).for_each(|_| turn.learn(&THROTTLED));
        assert_eq!(window.lock().size, 16.0);

        let accepted = Outcome::Accepted { sid: String::new(), status: Status::Queued, segments: None };
        (0..17).for_each(|_| turn.learn(&accepted));
        let grown = window.lock().size;
        assert!((16.9..17.1).contains(&grown), "{grown}");
    }

    #[tokio::test]
    async fn whoever_finds_it_full_waits_for_a_place() {
        let window = Window::default();
        let mut turns = Vec::new();
        for _ in 0..32 {
            turns.push(window.turn().await);
        }

        let full = tokio::time::timeout(Duration::from_millis(10), window.turn()).await;
        assert!(full.is_err());
        turns.pop();
        assert!(tokio::time::timeout(Duration::from_secs(5), window.turn()).await.is_ok());
    }
}
