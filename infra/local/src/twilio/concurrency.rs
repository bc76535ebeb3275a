//! `Twilio-Concurrent-Requests`: how many submissions are under way at once.

use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method};

use super::LocalTwilio;

/// A submission that has not been answered yet. Dropped with the answer, or when the client hangs up.
struct UnderWay(LocalTwilio);

impl UnderWay {
    /// Counts one more, and tells how many there are with it.
    fn begin(twilio: LocalTwilio) -> (Self, usize) {
        let others = twilio.0.under_way.fetch_add(1, Ordering::Relaxed);
        (Self(twilio), others + 1)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self(twilio) = self;
        twilio.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers a POST with the count that it met when it came, itself included.
pub(super) async fn tell(State(twilio): State<LocalTwilio>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (_under_way, count) = UnderWay::begin(twilio);
    let mut response = next.run(request).await;
    response.headers_mut().insert("twilio-concurrent-requests", HeaderValue::from(count));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::twilio;
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn what_was_answered_is_no_longer_counted() {
        let twilio = twilio(&Clock::at("2026-11-02T09:00:00Z".parse().unwrap()), None);

        let (first, alone) = UnderWay::begin(twilio.clone());
        let (_second, both) = UnderWay::begin(twilio.clone());
        drop(first);
        let (_third, again) = UnderWay::begin(twilio);

        assert_eq!((alone, both, again), (1, 2, 2));
    }
}
