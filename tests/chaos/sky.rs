//! What goes wrong at present, and all chance; and what dies of it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{self, Poll};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use bytes::Bytes;
use fastrand::Rng;
use jiff::SignedDuration;
use local::host::Host;
use shared::http_client::Client;
use tokio::time::sleep;

use super::drive::lock;
use super::plan::{Plan, What};

/// What goes wrong at present, and all chance.
pub struct Sky {
    pub rng: Mutex<Rng>,
    /// By the place in the plan.
    faults: Mutex<BTreeMap<usize, What>>,
    struck: Mutex<BTreeMap<String, u64>>,
}

impl Sky {
    pub fn new(seed: u64) -> Self {
        Self { rng: Mutex::new(Rng::with_seed(seed)), faults: Mutex::default(), struck: Mutex::default() }
    }

    pub fn faults(&self) -> MutexGuard<'_, BTreeMap<usize, What>> {
        lock(&self.faults)
    }

    /// Of the present faults, what the latest makes of it.
    pub fn latest<T>(&self, read: impl Fn(&What) -> Option<T>) -> Option<T> {
        self.faults().values().rev().find_map(read)
    }

    pub fn draw(&self, permille: Option<u32>) -> bool {
        permille.is_some_and(|permille| lock(&self.rng).u32(0..1000) < permille)
    }

    pub fn below(&self, end: u64) -> u64 {
        lock(&self.rng).u64(0..end)
    }

    pub async fn pause(&self, from: u64, to: u64) {
        sleep(Duration::from_millis(from + self.below(to - from))).await;
    }

    /// Counts a fault that struck.
    pub fn strike(&self, fault: impl Into<String>, times: u64) {
        if times > 0 {
            *lock(&self.struck).entry(fault.into()).or_default() += times;
        }
    }

    pub fn struck(&self) -> BTreeMap<String, u64> {
        lock(&self.struck).clone()
    }

    pub fn is_twice(&self) -> bool {
        let is_twice =
            self.draw(self.latest(|what| if let What::Twice { permille, .. } = what { Some(*permille) } else { None }));
        self.strike("twice", u64::from(is_twice));
        is_twice
    }

    fn is(&self, of: impl Fn(&What) -> bool) -> bool {
        self.faults().values().any(of)
    }

    pub fn is_out(&self) -> bool {
        self.is(|what| matches!(what, What::Outage { .. }))
    }

    pub fn is_deaf(&self) -> bool {
        self.is(|what| matches!(what, What::Deaf { .. }))
    }

    pub fn is_silent(&self) -> bool {
        self.is(|what| matches!(what, What::Silent { .. }))
    }

    /// At which of its awakenings an invocation dies, if it does.
    pub fn death(&self) -> Option<u32> {
        let permille = self.latest(|what| if let What::Kills { permille, .. } = what { Some(*permille) } else { None });
        let order = self.draw(permille).then(|| self.below(10));
        order.map(|order| 1 + self.below(1 << order) as u32)
    }

    /// How far clocks are off at most.
    pub fn most_skew(&self) -> SignedDuration {
        self.latest(|what| if let What::Skew { by, .. } = what { Some(*by) } else { None }).unwrap_or_default()
    }

    /// How far the clock is off that an invocation goes by: it has jumped since the one before, and others have others.
    pub fn skew(&self) -> SignedDuration {
        let most = self.most_skew().as_millis() as i64;
        if most == 0 {
            return SignedDuration::ZERO;
        }
        self.strike("skew", 1);
        SignedDuration::from_millis(self.below(2 * most as u64 + 1) as i64 - most)
    }

    pub fn is_revoked(&self, school: usize) -> bool {
        self.is(|what| matches!(what, What::Revoked { school: revoked, .. } if *revoked == school))
    }
}

/// Work that may die at one of its await points.
pub struct Mortal<F> {
    pub work: Pin<Box<F>>,
    /// It dies when it is woken so many times more, if it does.
    pub left: Option<u32>,
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match &mut self.left {
            Some(0) => return Poll::Ready(None),
            Some(left) => *left -= 1,
            None => {}
        }
        self.work.as_mut().poll(cx).map(Some)
    }
}

/// Twilio, as processes reach it: after a while, and refused or unanswered at times.
pub fn twilio(host: &Host, plan: &Plan, sky: &Arc<Sky>) -> Client {
    let (twilio, sky) = (host.twilio.handler(), sky.clone());
    let accounts: Vec<String> = host.twilio.accounts().into_iter().map(|account| account.sid).collect();
    assert_eq!(accounts.len(), plan.schools.len());
    Client::through(Arc::new(move |request| {
        let (twilio, sky) = (twilio.clone(), sky.clone());
        let whose = accounts.iter().position(|sid| request.url().path().contains(sid.as_str()));
        Box::pin(async move {
            sky.pause(5, 120).await;
            if whose.is_some_and(|school| sky.is_revoked(school)) {
                sky.strike("revoked", 1);
                return refusal(StatusCode::UNAUTHORIZED, r#"{"code": 20003, "message": "Authenticate", "status": 401}"#);
            }
            if request.method() == Method::GET && sky.is_silent() {
                sky.strike("silent", 1);
                return refusal(StatusCode::SERVICE_UNAVAILABLE, "<html>Service Unavailable</html>");
            }
            let answer = twilio(request).await;
            sky.pause(1, 60).await;
            answer
        })
    }))
}

pub fn refusal<T: From<axum::http::Response<Bytes>>>(status: StatusCode, body: &'static str) -> T {
    let mut answer = axum::http::Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = status;
    answer.into()
}
