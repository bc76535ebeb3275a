//! Scripted faults: what goes wrong, for whom and how often. Where they strike is in `answer` and `steps`.
//!
//! One script for messages and calls: each submission counts, whichever it is of. A reply that a webhook
//! asks for counts for what goes wrong later.
//!
//! A new one: here, with `comes_later`; in `answer` or `steps`, as the compiler asks; and, for whole days under fire, which no
//! compiler asks for, in `FAULTS` of `tests/chaos/plan.rs` and `STRIKING` of `tests/chaos/seeds.rs`.

use serde::{Deserialize, Serialize};

use super::address::number;

/// What can go wrong with one submission. As JSON: `"acceptThenDrop"`, `{"slow": 3000}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Accepted, then the connection is closed without an answer.
    AcceptThenDrop,
    /// The connection is closed, and nothing was accepted.
    DropBeforeAccept,
    /// 429 with code 20429 and a Retry-After.
    TooManyRequests,
    /// 429 with code 21611: the sender's queue is full.
    QueueFull,
    /// 500, and nothing was accepted.
    ServerErrorBeforeAccept,
    /// Accepted, then 500.
    ServerErrorAfterAccept,
    /// 503 from a proxy, in HTML, before anything was processed.
    Unavailable,
    /// Accepted at once, answered after so many milliseconds.
    Slow(u64),
    /// The callbacks are posted and answered before the submission is.
    CallbackBeforeResponse,
    /// Every callback comes twice.
    DuplicateCallbacks,
    /// The last callback comes first.
    ReorderedCallbacks,
    /// No callback comes.
    LostCallbacks,
    /// Sent, then undelivered with this code. Nobody answers a call.
    Undelivered(u32),
    /// Accepted, then failed with this code. A call fails without one.
    FailedLater(u32),
    /// A call finds the line busy. A message goes as if there were no fault.
    Busy,
}

/// A fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub fault: Fault,
    /// Only for this recipient, over any channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// At most so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Only at each n-th submission that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
}

impl Fault {
    /// Whether it strikes after the answer to the submission.
    fn comes_later(self) -> bool {
        match self {
            Self::DuplicateCallbacks
            | Self::ReorderedCallbacks
            | Self::LostCallbacks
            | Self::Undelivered(_)
            | Self::FailedLater(_)
            | Self::Busy => true,
            Self::AcceptThenDrop
            | Self::DropBeforeAccept
            | Self::TooManyRequests
            | Self::QueueFull
            | Self::ServerErrorBeforeAccept
            | Self::ServerErrorAfterAccept
            | Self::Unavailable
            | Self::Slow(_)
            | Self::CallbackBeforeResponse => false,
        }
    }
}

/// A rule, and how often it has matched and fired.
#[derive(Clone, Debug, Serialize)]
pub struct ArmedRule {
    #[serde(flatten)]
    pub rule: Rule,
    pub matched: u32,
    pub fired: u32,
}

/// The rules in their order. Each counts every submission that it matches; the first that is due fires.
#[derive(Default)]
pub(super) struct Script(Vec<ArmedRule>);

impl Script {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self(rules.into_iter().map(|rule| ArmedRule { rule, matched: 0, fired: 0 }).collect())
    }

    pub(super) fn rules(&self) -> &[ArmedRule] {
        &self.0
    }

    /// What goes wrong with the next submission to `to`.
    pub(super) fn strike(&mut self, to: &str) -> Option<Fault> {
        self.strike_by(to, |_| true)
    }

    /// As `strike`, for a reply that a webhook asks for: nobody waits for an answer to it, and rules about
    /// the answer do not count it.
    pub(super) fn strike_reply(&mut self, to: &str) -> Option<Fault> {
        self.strike_by(to, Fault::comes_later)
    }

    fn strike_by(&mut self, to: &str, can_strike: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut struck = None;
        for armed in &mut self.0 {
            if !can_strike(armed.rule.fault) {
                continue;
            }
            if armed.rule.to.as_deref().is_some_and(|only| number(only) != number(to)) {
                continue;
            }
            armed.matched += 1;
            let due = armed.rule.every.is_none_or(|every| armed.matched.is_multiple_of(every.max(1)));
            let left = armed.rule.times.is_none_or(|times| armed.fired < times);
            if struck.is_none() && due && left {
                armed.fired += 1;
                struck = Some(armed.rule.fault);
            }
        }
        struck
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(fault: Fault) -> Rule {
        Rule { fault, to: None, times: None, every: None }
    }

    #[test]
    fn a_rule_fires_at_each_nth_match_and_so_many_times() {
        let mut script = Script::new(vec![Rule { every: Some(2), times: Some(2), ..rule(Fault::QueueFull) }]);

        let struck: Vec<bool> = (0..8).map(|_| script.strike("+15551234567").is_some()).collect();

        assert_eq!(struck, [false, true, false, true, false, false, false, false]);
    }

    #[test]
    fn a_rule_for_one_recipient_spares_the_others() {
        let only = Some("+15551234567".to_owned());
        let mut script = Script::new(vec![Rule { to: only, ..rule(Fault::Slow(10)) }]);

        assert_eq!(script.strike("+15557654321"), None);
        assert_eq!(script.strike("whatsapp:+15551234567"), Some(Fault::Slow(10)));
    }

    #[test]
    fn a_fault_has_its_name_in_json() {
        let rule: Rule = serde_json::from_str(r#"{"fault":"busy","times":1}"#).unwrap();

        assert_eq!((rule.fault, rule.times), (Fault::Busy, Some(1)));
    }

    #[test]
    fn the_first_rule_that_is_due_wins() {
        let once = Rule { times: Some(1), ..rule(Fault::AcceptThenDrop) };
        let mut script = Script::new(vec![once, rule(Fault::LostCallbacks)]);

        assert_eq!(script.strike("+1"), Some(Fault::AcceptThenDrop));
        assert_eq!(script.strike("+1"), Some(Fault::LostCallbacks));
    }
}
