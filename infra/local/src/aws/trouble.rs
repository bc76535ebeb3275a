//! What goes wrong between a process and AWS: the faults that its services have, drawn from a seed.
//!
//! A fault is met around a service's handler, which knows nothing of it. `refusal`, `partial` and `stale` say what faults
//! look like. All waiting is the runtime's: on paused time, the same requests in the same order go the same way.

mod dice;
mod partial;
mod refusal;
mod stale;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

use self::dice::Dice;
pub(super) use self::stale::Recent;
use super::{Answer, Aws, lock};

/// Of a thousand requests, how many meet what. What is not applicable to a request passes it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Refused for its rate before anything was done.
    pub throttled: u32,
    /// Answered with 500 or 503, and nothing was done.
    pub failed: u32,
    /// The same, but it was done.
    pub failed_after: u32,
    /// The connection is lost, or nothing is answered in time, and nothing was done.
    pub lost: u32,
    /// The same, but it was done.
    pub lost_after: u32,
    /// A write of one item, or a transaction, meets another transaction. Now and then that is said to be its own first try.
    pub conflicts: u32,
    /// A batch leaves some of itself undone; of a batch of messages or events some fail, or all.
    pub partial: u32,
    /// A query of an index sees it as it was up to half a minute ago. Drawn for itself, as is `slow`.
    pub stale: u32,
    /// Takes seconds instead of milliseconds.
    pub slow: u32,
}

/// How often each fault struck, by its field's name.
pub type Happened = BTreeMap<&'static str, u64>;

/// What goes wrong between processes and AWS, drawn from a seed: the same requests in the same order meet the same.
pub struct Trouble {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: u64,
    shares: Shares,
    happened: Happened,
}

impl Trouble {
    /// None at first, but each request takes a few milliseconds.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, state: Mutex::default() })
    }

    /// What requests meet from now on.
    pub fn set(&self, shares: Shares) {
        lock(&self.state).shares = shares;
    }

    /// How often each fault struck so far.
    pub fn happened(&self) -> Happened {
        lock(&self.state).happened.clone()
    }

    fn count(&self, fault: &'static str) {
        *lock(&self.state).happened.entry(fault).or_default() += 1;
    }
}

/// A request as it came.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub service: &'a str,
    pub operation: &'a str,
    pub body: &'a [u8],
}

/// Nothing was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Connection,
    TimedOut,
}

/// What may be met instead of a plain answer; at most one a request.
#[derive(Clone, Copy)]
enum Fault {
    Throttled,
    Failed,
    FailedAfter,
    Lost,
    LostAfter,
    Conflicts,
    Partial,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::FailedAfter => "failed_after",
            Self::Lost => "lost",
            Self::LostAfter => "lost_after",
            Self::Conflicts => "conflicts",
            Self::Partial => "partial",
        }
    }
}

impl Shares {
    /// The fault that a number below a thousand stands for.
    fn fault(&self, drawn: usize) -> Option<Fault> {
        let shares = [
            (self.throttled, Fault::Throttled),
            (self.failed, Fault::Failed),
            (self.failed_after, Fault::FailedAfter),
            (self.lost, Fault::Lost),
            (self.lost_after, Fault::LostAfter),
            (self.conflicts, Fault::Conflicts),
            (self.partial, Fault::Partial),
        ];
        let mut end = 0;
        shares.into_iter().find_map(|(share, fault)| {
            end += share as usize;
            (drawn < end).then_some(fault)
        })
    }
}

/// In milliseconds, there and back.
const QUICK: RangeInclusive<u64> = 1..=12;
const SLOW: RangeInclusive<u64> = 1_000..=5_000;
/// When a client gives up.
const TIME_OUT: RangeInclusive<u64> = 2_000..=5_000;

/// What was drawn for a request.
struct Course {
    fault: Option<Fault>,
    /// How far an index lags.
    lag: Option<Duration>,
    millis: u64,
    dice: Dice,
}

impl Trouble {
    /// Brings a request to `aws` and its answer back.
    pub(super) async fn meet(&self, aws: &Aws, request: Request<'_>) -> Result<Answer, Lost> {
        let mut course = self.course();
        // Half of the time each way, so that whoever else is on the way comes before or after.
        let there = course.millis / 2;
        sleep(Duration::from_millis(there)).await;
        let outcome = self.outcome(aws, request, &mut course);
        let back = match outcome {
            Err(Lost::TimedOut) => course.dice.between(TIME_OUT),
            Err(Lost::Connection) | Ok(_) => course.millis - there,
        };
        sleep(Duration::from_millis(back)).await;
        outcome
    }

    fn course(&self) -> Course {
        let mut state = lock(&self.state);
        state.requests += 1;
        let shares = state.shares;
        let mut dice = Dice::of(self.seed, state.requests);
        let fault = shares.fault(dice.below(1000));
        let lag = dice.between(stale::LAG);
        let lag = dice.strikes(shares.stale).then_some(Duration::from_millis(lag));
        let is_slow = dice.strikes(shares.slow);
        if is_slow {
            *state.happened.entry("slow").or_default() += 1;
        }
        let millis = dice.between(if is_slow { SLOW } else { QUICK });
        Course { fault, lag, millis, dice }
    }

    fn outcome(&self, aws: &Aws, request: Request<'_>, course: &mut Course) -> Result<Answer, Lost> {
        let Request { service, operation, body } = request;
        let dice = &mut course.dice;
        let perform = |body: &[u8]| aws.perform(service, operation, body);
        if let Some(fault) = course.fault {
            let met = match fault {
                Fault::Throttled => Some(Ok(refusal::throttled(service, dice))),
                Fault::Failed => Some(Ok(refusal::failed(service, dice))),
                Fault::FailedAfter => {
                    perform(body);
                    Some(Ok(refusal::failed(service, dice)))
                }
                Fault::Lost => Some(Err(lost(dice))),
                Fault::LostAfter => {
                    perform(body);
                    Some(Err(lost(dice)))
                }
                Fault::Conflicts => refusal::conflict(operation, body, dice).map(Ok),
                Fault::Partial => partial::answer(operation, body, dice, perform).map(Ok),
            };
            if let Some(outcome) = met {
                self.count(fault.name());
                return outcome;
            }
        }
        if let ("Query", Some(lag)) = (operation, course.lag)
            && let Some(seen) = stale::query(&aws.0.recent, lag, body, perform)
        {
            if seen.is_past {
                self.count("stale");
            }
            return Ok(seen.answer);
        }
        Ok(perform(body))
    }
}

fn lost(dice: &mut Dice) -> Lost {
    if dice.coin() { Lost::TimedOut } else { Lost::Connection }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use dynoxide::Database;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::clock::Clock;
    use crate::names::TABLE;
    use crate::table;

    const PUT: &str = "DynamoDB_20120810.PutItem";
    const GET: &str = "DynamoDB_20120810.GetItem";
    const TRANSACT: &str = "DynamoDB_20120810.TransactWriteItems";

    /// An AWS with the table, without trouble.
    pub(super) fn aws() -> Aws {
        let database = Database::memory().unwrap();
        table::create(&database).unwrap();
        Aws::new(database, None, Clock::at("2026-11-21T09:00:00Z".parse().unwrap())).unwrap()
    }

    pub(super) fn trouble(seed: u64, shares: Shares) -> Arc<Trouble> {
        let trouble = Trouble::new(seed);
        trouble.set(shares);
        trouble
    }

    pub(super) async fn call(aws: &Aws, target: &str, body: &Value) -> (u16, Value) {
        let answer = aws.handle(target, body.to_string().as_bytes()).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    fn key() -> Value {
        json!({ "pk": { "S": "a" }, "sk": { "S": "b" } })
    }

    fn put() -> Value {
        json!({ "TableName": TABLE, "Item": key() })
    }

    fn transaction() -> Value {
        let check = json!({ "TableName": TABLE, "Key": key(), "ConditionExpression": "attribute_not_exists(pk)" });
        let other = json!({ "TableName": TABLE, "Item": { "pk": { "S": "a" }, "sk": { "S": "c" } } });
        json!({ "TransactItems": [{ "ConditionCheck": check }, { "Put": other }] })
    }

    /// What forty requests are answered: the status, and the error's name if it is one.
    async fn answers(shares: Shares, target: &str, body: &Value) -> BTreeSet<(u16, String)> {
        let met = aws().troubled(trouble(1, shares));
        let mut answers = BTreeSet::new();
        for _ in 0..40 {
            let (status, answer) = call(&met, target, body).await;
            let kind = answer["__type"].as_str().unwrap_or_default();
            answers.insert((status, kind.rsplit('#').next().unwrap().to_owned()));
        }
        answers
    }

    fn these(answers: &[(u16, &str)]) -> BTreeSet<(u16, String)> {
        answers.iter().map(|(status, kind)| (*status, (*kind).to_owned())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_brings_the_same() {
        async fn story(seed: u64) -> (Vec<(u16, u128)>, Happened) {
            let share = 100;
            let shares = Shares {
                throttled: share,
                failed: share,
                failed_after: share,
                lost: share,
                lost_after: share,
                conflicts: share,
                slow: share,
                ..Shares::default()
            };
            let trouble = trouble(seed, shares);
            let met = aws().troubled(trouble.clone());
            let mut story = Vec::new();
            for _ in 0..200 {
                let began = Instant::now();
                let (status, _) = call(&met, PUT, &put()).await;
                story.push((status, began.elapsed().as_millis()));
            }
            (story, trouble.happened())
        }

        let first = story(1).await;

        assert_eq!(first, story(1).await);
        assert_ne!(first.0, story(2).await.0);
        let struck: Vec<&str> = first.1.into_keys().collect();
        assert_eq!(struck, ["conflicts", "failed", "failed_after", "lost", "lost_after", "slow", "throttled"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_milliseconds_or_if_it_is_slow_seconds_and_other_handles_none() {
        let calm = aws();
        for (slow, least, most) in [(0, 1, 14), (1000, 1_000, 5_002)] {
            let met = calm.troubled(trouble(1, Shares { slow, ..Shares::default() }));
            for _ in 0..50 {
                let began = Instant::now();
                assert_eq!(call(&met, PUT, &put()).await.0, 200);
                // The runtime's timer may round up.
                assert!((least..=most).contains(&began.elapsed().as_millis()));
            }
        }

        let began = Instant::now();
        assert_eq!(call(&calm, PUT, &put()).await.0, 200);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_and_failures_are_called_as_each_service_calls_them() {
        let throttled = Shares { throttled: 1000, ..Shares::default() };
        let failed = Shares { failed: 1000, ..Shares::default() };
        let (secret, message, event) = ("secretsmanager.GetSecretValue", "AmazonSQS.SendMessage", "AWSEvents.PutEvents");
        let nothing = json!({});

        let of_table = [(400, "ProvisionedThroughputExceededException"), (400, "ThrottlingException")];
        assert_eq!(answers(throttled, PUT, &put()).await, these(&of_table));
        assert_eq!(answers(throttled, secret, &nothing).await, these(&[(400, "ThrottlingException")]));
        assert_eq!(answers(throttled, message, &nothing).await, these(&[(400, "RequestThrottled")]));
        assert_eq!(answers(throttled, event, &nothing).await, these(&[(400, "ThrottlingException")]));
        for (target, internal) in [
            (PUT, "InternalServerError"),
            (secret, "InternalServiceError"),
            (message, "InternalFailure"),
            (event, "InternalException"),
        ] {
            assert_eq!(answers(failed, target, &nothing).await, these(&[(500, internal), (503, "ServiceUnavailable")]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_writes_meet_transactions() {
        let conflicts = Shares { conflicts: 1000, ..Shares::default() };
        let get = json!({ "TableName": TABLE, "Key": key() });

        assert_eq!(answers(conflicts, PUT, &put()).await, these(&[(400, "TransactionConflictException")]));
        let of_transaction = [(400, "TransactionCanceledException"), (400, "TransactionInProgressException")];
        assert_eq!(answers(conflicts, TRANSACT, &transaction()).await, these(&of_transaction));
        assert_eq!(answers(conflicts, GET, &get).await, these(&[(200, "")]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_transaction_names_the_action_that_met_another() {
        let met = aws().troubled(trouble(1, Shares { conflicts: 1000, ..Shares::default() }));
        let mut places = BTreeSet::new();

        for _ in 0..40 {
            let (_, answer) = call(&met, TRANSACT, &transaction()).await;
            let Some(reasons) = answer["CancellationReasons"].as_array() else { continue };
            assert_eq!(reasons.len(), 2);
            let place = reasons.iter().position(|reason| reason["Code"] == "TransactionConflict").unwrap();
            assert_eq!(reasons[1 - place], json!({ "Code": "None" }));
            places.insert(place);
        }

        assert_eq!(places, BTreeSet::from([0, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_has_been_done_and_nothing_else_has() {
        let none = Shares::default();
        for (shares, fault, is_done) in [
            (Shares { throttled: 1000, ..none }, "throttled", false),
            (Shares { failed: 1000, ..none }, "failed", false),
            (Shares { failed_after: 1000, ..none }, "failed_after", true),
            (Shares { lost: 1000, ..none }, "lost", false),
            (Shares { lost_after: 1000, ..none }, "lost_after", true),
            (Shares { conflicts: 1000, ..none }, "conflicts", false),
        ] {
            for target in [PUT, TRANSACT] {
                let calm = aws();
                let trouble = trouble(1, shares);
                let body = if target == PUT { put() } else { transaction() };

                let (status, _) = call(&calm.troubled(trouble.clone()), target, &body).await;

                assert!(status >= 400, "{fault} {target}");
                assert_eq!(!calm.items().is_empty(), is_done, "{fault} {target}");
                assert_eq!(trouble.happened(), Happened::from([(fault, 1)]), "{target}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_in_time_takes_seconds() {
        let met = aws().troubled(trouble(1, Shares { lost: 1000, ..Shares::default() }));
        let mut ways = Vec::new();

        for _ in 0..40 {
            let began = Instant::now();
            let lost = met.ask(PUT, put().to_string().as_bytes()).await.err().unwrap();
            assert_eq!(began.elapsed() >= Duration::from_secs(2), lost == Lost::TimedOut);
            ways.push(lost);
        }

        assert!(ways.contains(&Lost::TimedOut) && ways.contains(&Lost::Connection));
    }
}
