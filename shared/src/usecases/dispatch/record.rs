//! What Twilio answered, written down: accepted, refused, not processed or unknown (DESIGN §3).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::decide::World;
use super::pacing::BURST;
use super::run::Run;
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::erasure::as_kept;
use crate::domain::evidence::Entry;
use crate::domain::message::{Message, MessageId, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::consents;
use crate::store::messages::{self, Change, Written};
use crate::store::{Table, accepted, pace};
use crate::telemetry::moved;
use crate::twilio::client::{self, Outcome};
use crate::usecases::record_refusal::{UNSUBSCRIBED, refusal as refusal_of};
use crate::usecases::tell_of_inbound::tell_of_wish;

/// Callbacks may change a message so often before our own write gets through.
const TRIES: u32 = 8;
/// The longest pause of the exponential back-off.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What is made of an answer once it is written down.
struct Ending {
    /// Where the message comes from.
    from: Status,
    /// That Twilio has taken it, which holds whoever was faster.
    taken: Option<Outcome>,
    /// That its number has opted out.
    refusal: Option<Entry>,
}

/// Writes what Twilio answered to what was claimed in `run`, and tells what was spent.
pub async fn record(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    results: Vec<(Message, Outcome)>,
    world: &mut World,
    touched: &mut Vec<Message>,
    run: Run,
) -> Result<Micros, ContextError> {
    let table = cx.table().await?;
    // The claims are of the run's beginning; what Twilio wants waited for counts from its answer.
    let (now, answered) = (run.now, run.instant());
    let mut spent = 0;
    let mut changes = Vec::with_capacity(results.len());
    let mut endings = Vec::with_capacity(results.len());
    for (message, outcome) in results {
        let reserved = message.cost.unwrap_or_default();
        let counts = message.counts_towards_cap(settings);
        let person = message.to.as_ref().map(|to| accepted::person(table, message.contact.as_deref(), to)).unwrap_or_default();
        let taken = matches!(outcome, Outcome::Accepted { .. }).then(|| outcome.clone());
        // Of what Twilio was not asked the claim is taken back: it has not left where it was.
        let from = if outcome == Outcome::NotAsked { Status::Scheduled } else { Status::Sending };
        let mut refusal = None;
        let change = match outcome {
            Outcome::Accepted { sid, status, segments } => {
                let cost = settled(settings, &message, segments);
                spent += cost.0;
                if counts {
                    *world.counts.entry(person).or_default() += 1;
                }
                accept(settings, message, sid, status, segments, cost, now)
            }
            Outcome::Refused { code } => {
                let number = message.to.clone();
                let failed = as_kept(settings, failed(message, code, now));
                let mut change = release(table, tenant, failed, reserved, counts, now)?;
                if let (UNSUBSCRIBED, Some(number)) = (code, number) {
                    let entry = refusal_of(&number, &change.message().id, now);
                    change = change.along_with(consents::refused(table, tenant, &entry)?);
                    refusal = Some(entry);
                    world.standings.entry(number).or_default().stopped = true;
                }
                change
            }
            Outcome::NotProcessed { wait, code } => {
                if code.is_some() {
                    // Maybe the credentials were changed meanwhile.
                    cx.forget(tenant);
                }
                if code == Some(client::QUEUE_FULL)
                    && let Some(sender) = message.channel.and_then(|channel| settings.sender(channel))
                {
                    block(cx, tenant, sender, wait, world, answered).await?;
                }
                let again = as_kept(settings, again(message, settings.max_attempts, wait, code, answered));
                release(table, tenant, again, reserved, counts, now)?
            }
            Outcome::NotAsked => {
                // That was no attempt.
                let again = as_kept(settings, again(message, u32::MAX, Duration::ZERO, None, answered));
                release(table, tenant, again, reserved, counts, now)?
            }
            Outcome::Unknown { why } => {
                spent += reserved.0;
                if counts {
                    *world.counts.entry(person).or_default() += 1;
                }
                let mut message = message;
                message.timeline.push(Step::with(now, "unknown", why));
                Change::of(message)
            }
        };
        changes.push(change);
        endings.push(Ending { from, taken, refusal });
    }
    let written = messages::write(table, tenant, &changes, None).await?;
    // An opt-out is written with its message, or not at all.
    let won = endings.iter().zip(&written).filter(|(_, written)| **written == Written::Won);
    let opt_outs: Vec<Entry> = won.filter_map(|(ending, _)| ending.refusal.clone()).collect();
    if !opt_outs.is_empty() {
        // Other runs decided before: they look again.
        consents::note_change(table, tenant).await?;
    }
    for entry in opt_outs {
        tell_of_wish(cx, tenant, &entry.number, &entry.wish, now).await;
    }
    for ((change, written), ending) in changes.into_iter().zip(written).zip(endings) {
        let message = change.into_message();
        match (written, ending.taken) {
            (Written::Won, _) => {
                moved(ending.from, &message);
                touched.push(message);
            }
            (_, Some(outcome)) => accept_again(table, tenant, settings, &message.id, outcome, touched, now).await?,
            (_, None) => tracing::warn!(%tenant, id = %message.id, "changed by somebody else while it was at Twilio"),
        }
    }
    Ok(Micros(spent))
}

/// The sender's queue at Twilio is full: nothing more goes to it for a while, and whoever asks for a
/// turn is given one after that (D8).
async fn block(
    cx: &Context,
    tenant: &TenantId,
    sender: &str,
    wait: Duration,
    world: &mut World,
    now: Timestamp,
) -> Result<(), ContextError> {
    if world.blocked.contains_key(sender) {
        return Ok(());
    }
    let until = now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_mins(10));
    world.blocked.insert(sender.to_string(), until);
    tracing::warn!(%tenant, %until, "the sender's queue at Twilio is full");
    let table = cx.table().await?;
    pace::block(table, tenant, &pace::of_lists(sender), until).await?;
    Ok(pace::block(table, tenant, sender, until + BURST).await?)
}

/// A callback was faster than our write: what it knew stays, what the answer knew is added.
async fn accept_again(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    id: &MessageId,
    outcome: Outcome,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let Outcome::Accepted { sid, status, segments } = outcome else { return Ok(()) };
    for _ in 0..TRIES {
        let Some(fresh) = messages::get_many(table, tenant, std::slice::from_ref(id)).await?.pop() else { return Ok(()) };
        let from = fresh.status;
        let cost = settled(settings, &fresh, segments);
        let change = accept(settings, fresh, sid.clone(), status, segments, cost, now);
        if messages::write(table, tenant, std::slice::from_ref(&change), None).await? == [Written::Won] {
            let message = change.into_message();
            moved(from, &message);
            touched.push(message);
            return Ok(());
        }
    }
    // Every callback keeps the SID; only a difference in segments goes unsettled.
    tracing::warn!(%tenant, %id, "callbacks kept changing the message");
    Ok(())
}

/// What it really costs: by Twilio's price, if a callback with it was faster, or by its count of segments, once there is one.
fn settled(settings: &Settings, message: &Message, segments: Option<u32>) -> Micros {
    if let Some(told) = message.told_price(&settings.budget.currency) {
        return told;
    }
    match (message.channel, &message.to, segments) {
        (Some(Channel::Sms), Some(to), Some(segments)) => Micros(settings.price(Channel::Sms, to).0 * i64::from(segments)),
        // Given back meanwhile, by somebody who took it for lost.
        (Some(channel), Some(to), None) if message.cost.is_none() => {
            Micros(settings.price(channel, to).0 * i64::from(message.segments.unwrap_or(1)))
        }
        _ => message.cost.unwrap_or_default(),
    }
}

fn accept(
    settings: &Settings,
    mut message: Message,
    sid: String,
    status: Status,
    segments: Option<u32>,
    cost: Micros,
    now: Timestamp,
) -> Change {
    let reserved = message.cost.unwrap_or_default();
    message.timeline.push(Step::with(now, "accepted", format_args!("{status} {sid}")));
    // A code of an attempt that came to nothing; what a callback said of this one stays.
    if message.status <= Status::Sending {
        message.error_code = None;
    }
    message.status = status.max(message.status);
    message.lease_until = None;
    message.account = None;
    message.sid.get_or_insert(sid);
    message.segments = segments.filter(|_| message.channel == Some(Channel::Sms)).or(message.segments);
    message.cost = Some(cost);
    let month = message.month.clone().unwrap_or_default();
    // Twilio has the text now: a tenant that keeps none (S0-74) needs it no more.
    Change::of(as_kept(settings, message)).charging(&month, Micros(cost.0 - reserved.0))
}

fn failed(mut message: Message, code: u32, now: Timestamp) -> Message {
    message.timeline.push(Step::with(now, "refused", code));
    message.status = Status::Failed;
    message.lease_until = None;
    message.account = None;
    message.error_code = Some(code);
    message
}

/// Back to waiting, or failed after too many attempts.
fn again(mut message: Message, attempts: u32, wait: Duration, code: Option<u32>, now: Timestamp) -> Message {
    message.error_code = code;
    message.lease_until = None;
    message.account = None;
    // A queue at Twilio takes up to ten hours to drain.
    let attempts = if code == Some(client::QUEUE_FULL) { attempts.saturating_mul(5) } else { attempts };
    let detail = code.map_or("not handed over".to_string(), |code| code.to_string());
    message.timeline.push(Step::with(now, "not_processed", detail));
    if message.attempt >= attempts {
        message.status = Status::Failed;
        message.reason = Some(Reason::NotProcessed);
    } else {
        message.status = Status::Scheduled;
        message.due_at = now + backoff(&message, wait);
    }
    message
}

/// Exponential with full jitter, never less than Twilio asked for. The jitter comes from the
/// message's id, so that a run can be repeated.
fn backoff(message: &Message, wait: Duration) -> SignedDuration {
    let ceiling = Duration::from_secs(1 << message.attempt.min(10)).min(LONGEST_WAIT);
    let spread =
        message.id.as_str().bytes().fold(u64::from(message.attempt), |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    let jitter = Duration::from_millis(spread % (ceiling.as_millis() as u64 + 1));
    SignedDuration::try_from(wait + jitter).unwrap_or(SignedDuration::from_mins(10))
}

/// Gives the reserved money back, and the place in the frequency cap.
fn release(
    table: &Table,
    tenant: &TenantId,
    mut message: Message,
    reserved: Micros,
    counts: bool,
    now: Timestamp,
) -> Result<Change, ContextError> {
    let month = message.month.clone().unwrap_or_default();
    message.cost = None;
    let person = message.to.as_ref().map(|to| accepted::person(table, message.contact.as_deref(), to));
    let uncount =
        person.filter(|_| counts).map(|person| accepted::uncount(table, tenant, &person, &message.id, now)).transpose()?;
    Ok(Change::of(message).charging(&month, Micros(-reserved.0)).along_with(uncount))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::message::Facts;
    use crate::domain::phone::{PhoneNumber, Strictness};
    use crate::domain::reminder::Kind;

    #[test]
    fn twilios_count_of_segments_settles_ours() {
        let settings: Settings = serde_json::from_str(
            r#"{"name": "S", "timeZone": "UTC", "defaultRegion": "US", "budget": {"currency": "USD"}, "prices": {"sms": "0.01"}}"#,
        )
        .unwrap();
        let tenant = TenantId::parse("t").unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let id = MessageId::derive(&tenant, &["m"]);
        let to = PhoneNumber::parse("+12125550001", &settings.default_region, Strictness::Possible).unwrap();
        let ours = Message {
            channel: Some(Channel::Sms),
            to: Some(to),
            segments: Some(1),
            cost: Some(Micros(10_000)),
            ..Message::waiting(id, Kind::Message, Facts::Direct, now, Step::new(now, "asked"))
        };

        assert_eq!(settled(&settings, &ours, Some(3)), Micros(30_000));
        assert_eq!(settled(&settings, &ours, None), Micros(10_000));
        let report = "delivered SM1 - Price=-0.0079&PriceUnit=USD".to_string();
        let told = Message { reports: [(report, Step::new(now, "callback"))].into(), ..ours.clone() };
        assert_eq!(settled(&settings, &told, Some(3)), Micros(7_900), "a callback with the price was faster");
        let given_back = Message { cost: None, ..ours };
        assert_eq!(settled(&settings, &given_back, None), Micros(10_000), "taken for lost, and sent after all");
    }
}
