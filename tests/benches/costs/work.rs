//! What was counted of a function's work, and how such counts are put together.

use std::collections::BTreeMap;

use local::template::Function;
use serde::{Deserialize, Serialize};

/// Counts of one function's work, for so many units of something.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    pub invocations: f64,
    /// Of these, what came of the queue; the rest of `dispatchMessages`' is the clock's.
    pub of_queue: f64,
    /// Of our own code, at full speed.
    pub cpu_ms: f64,
    /// For others to answer, as `prices` supposes it.
    pub wait_ms: f64,
    /// By service and operation: `DynamoDB.PutItem`.
    pub requests: BTreeMap<String, f64>,
    pub read_units: f64,
    pub write_units: f64,
    /// The indexes' share of them.
    pub index_write_units: f64,
    pub refused_writes: f64,
    /// Put on the bus.
    pub events: f64,
    /// Requests to Twilio.
    pub twilio: f64,
    /// Of our lines.
    pub log_bytes: f64,
}

impl Work {
    /// Each count of both, put together by `put`.
    fn with(&self, other: &Self, put: impl Fn(f64, f64) -> f64) -> Self {
        let names = self.requests.keys().chain(other.requests.keys());
        let count = |work: &Self, name: &str| work.requests.get(name).copied().unwrap_or_default();
        let requests = names.map(|name| (name.clone(), put(count(self, name), count(other, name)))).collect();
        Self {
            invocations: put(self.invocations, other.invocations),
            of_queue: put(self.of_queue, other.of_queue),
            cpu_ms: put(self.cpu_ms, other.cpu_ms),
            wait_ms: put(self.wait_ms, other.wait_ms),
            requests,
            read_units: put(self.read_units, other.read_units),
            write_units: put(self.write_units, other.write_units),
            index_write_units: put(self.index_write_units, other.index_write_units),
            refused_writes: put(self.refused_writes, other.refused_writes),
            events: put(self.events, other.events),
            twilio: put(self.twilio, other.twilio),
            log_bytes: put(self.log_bytes, other.log_bytes),
        }
    }

    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    /// What is left without `other`; nothing is less than nothing.
    pub fn without(&self, other: &Self) -> Self {
        self.with(other, |a, b| (a - b).max(0.0))
    }

    pub fn times(&self, factor: f64) -> Self {
        self.with(&Self::default(), |a, _| a * factor)
    }

    /// Requests to one service.
    pub fn requests_to(&self, service: &str) -> f64 {
        self.requests.iter().filter(|(name, _)| name.split('.').next() == Some(service)).map(|(_, count)| count).sum()
    }

    pub fn table_requests(&self) -> f64 {
        self.requests_to("DynamoDB")
    }
}

/// The work of several functions.
#[derive(Clone, Debug, Default)]
pub struct Works(pub BTreeMap<Function, Work>);

impl Works {
    pub fn add(&mut self, function: Function, work: &Work) {
        let before = self.0.entry(function).or_default();
        *before = before.plus(work);
    }

    pub fn plus(&self, other: &Self) -> Self {
        let mut all = self.clone();
        other.0.iter().for_each(|(function, work)| all.add(*function, work));
        all
    }

    pub fn without(&self, other: &Self) -> Self {
        let none = Work::default();
        let less = |function: &Function, work: &Work| work.without(other.0.get(function).unwrap_or(&none));
        Self(self.0.iter().map(|(function, work)| (*function, less(function, work))).collect())
    }

    pub fn times(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|(function, work)| (*function, work.times(factor))).collect())
    }

    /// Of all functions together.
    pub fn sum(&self) -> Work {
        self.0.values().fold(Work::default(), |sum, work| sum.plus(work))
    }

    /// Of one function.
    pub fn of(&self, function: Function) -> Work {
        self.0.get(&function).cloned().unwrap_or_default()
    }
}
