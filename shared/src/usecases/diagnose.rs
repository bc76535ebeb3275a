//! Says in plain words what keeps a tenant's messages from going, and what to do about it (D15, S1-70..74,
//! S3-79..81). That Twilio cannot be asked is one of its findings, and no reason to fail.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::ask_twilio::{rest, stored_credentials};
use super::connect_account::{TEST_CREDENTIALS, UNAUTHENTICATED};
use super::dispatch::claim;
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::connection::WHATSAPP;
use crate::domain::diagnosis::{self, CONSOLE, Check, DEBUGGER, ERRORS, STATUS, Severity, WEBHOOKS};
use crate::domain::message::{Message, Reason, Status};
use crate::domain::money::{Micros, Money};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::messages::{self, LogEntry};
use crate::store::{StoreError, Table, consents, keys, meter, tenants};
use crate::telemetry::Chain;
use crate::twilio::account::{self, State};
use crate::twilio::credentials::Credentials;
use crate::twilio::error_codes;
use crate::twilio::numbers::{self, Hooks, Owned};
use crate::twilio::rest::RestError;

/// Everything that was looked at.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// No account is connected: nothing leaves this system.
    pub is_simulated: bool,
    pub checks: Vec<Check>,
}

/// What Twilio says of the account.
#[derive(Clone, Debug, Default)]
pub struct AtTwilio {
    pub state: Option<State>,
    pub balance: Option<Money>,
    pub checks: Vec<Check>,
}

/// Looks at everything that a message needs to arrive.
pub async fn diagnose(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<Diagnosis, ContextError> {
    let table = cx.table().await?;
    let settings = tenants::settings(table, tenant).await?.ok_or_else(|| ContextError::NoTenant(tenant.clone()))?;
    let credentials = stored_credentials(cx, tenant).await?;
    let mut checks = match &credentials {
        Some(credentials) => ask(cx, tenant, &settings, credentials).await.checks,
        None => vec![not_configured()],
    };
    let is_simulated = credentials.is_none();
    checks.extend(diagnosis::of_settings(&settings));
    let month = claim::month(&settings, is_simulated, now);
    checks.push(diagnosis::of_budget(&settings, meter::used(table, tenant, &month).await?, now));
    checks.push(opt_outs(table, tenant).await?);
    checks.extend(of_messages(&settings, &recent(table, tenant, now).await?, now));
    Ok(Diagnosis { is_simulated, checks })
}

/// Asks Twilio whether it still accepts the credentials, and about the account. `None` without any.
pub async fn test_account(
    cx: &Context,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<(Option<Credentials>, AtTwilio), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let credentials = stored_credentials(cx, tenant).await?;
    let found = match &credentials {
        Some(credentials) => ask(cx, tenant, &settings, credentials).await,
        None => AtTwilio { checks: vec![not_configured()], ..AtTwilio::default() },
    };
    Ok((credentials, found))
}

fn not_configured() -> Check {
    let message = "Twilio is not configured: every message is simulated, and nothing leaves this system";
    let advice = "add the Account SID, the auth token and a number in the settings (PUT /twilio): they stand on the first page of \
                  Twilio's Console";
    Check::wrong(Severity::Warning, "credentials", message, advice).at(CONSOLE)
}

async fn ask(cx: &Context, tenant: &TenantId, settings: &Settings, credentials: &Credentials) -> AtTwilio {
    let plain = credentials.without_key();
    let (state, balance, owned) =
        tokio::join!(account::fetch(rest(cx, &plain)), account::balance(rest(cx, &plain)), numbers::list(rest(cx, credentials)));
    let state = match state {
        Ok(state) => state,
        Err(error) => {
            if error.refusal().is_none() {
                tracing::warn!(%tenant, error = %Chain(&error), "Twilio could not be asked about an account");
            }
            return AtTwilio { checks: vec![refused(&error)], ..AtTwilio::default() };
        }
    };
    let mut checks = vec![
        Check::fine("credentials", "Twilio accepts the Account SID and the auth token"),
        status(&state),
        kind(&state),
        money(settings, balance.as_ref()),
    ];
    if credentials.api_key.is_some() {
        checks.push(api_key(owned.as_ref().err()));
    }
    let hooks = Hooks::of(&cx.config.public_url, tenant);
    checks.extend(senders(settings, owned.as_deref().ok(), &hooks));
    AtTwilio { state: Some(state), balance: balance.ok(), checks }
}

/// Why Twilio says nothing of the account.
fn refused(error: &RestError) -> Check {
    const CHECK: &str = "credentials";
    match error.refusal() {
        None => cannot_ask(CHECK),
        Some(code) if TEST_CREDENTIALS.contains(&code) => {
            let advice = "take the live Account SID and auth token from the first page of the Console (PUT /twilio)";
            Check::wrong(Severity::Error, CHECK, "these are test credentials, which send nothing", advice).at(CONSOLE)
        }
        Some(code) if UNAUTHENTICATED.contains(&code) || error.is_not_found() => {
            let advice = "verify the Account SID and the auth token, without spaces around them, and connect again (PUT /twilio); \
                          if the token was replaced in the Console, the new one";
            Check::wrong(Severity::Error, CHECK, "authentication failed: Twilio does not accept the credentials", advice)
                .at(CONSOLE)
        }
        Some(code) => {
            let meaning = error_codes::meaning(code);
            let message = format!("Twilio refuses with {code}: {}", meaning.title);
            Check::wrong(Severity::Error, CHECK, message, meaning.advice).at(error_page(code))
        }
    }
}

fn cannot_ask(check: &str) -> Check {
    Check::unknown(check, "Twilio could not be asked", "try again in a minute, and see whether Twilio has trouble").at(STATUS)
}

fn error_page(code: u32) -> String {
    format!("{ERRORS}/{code}")
}

fn status(state: &State) -> Check {
    const CHECK: &str = "account.status";
    if state.is_active() {
        return Check::fine(CHECK, "the account is active");
    }
    let advice = "read Twilio's notices in the Console, add funds if they are used up, or ask Twilio's support";
    Check::wrong(Severity::Error, CHECK, format!("the account is {}: nothing is sent", state.status), advice).at(CONSOLE)
}

fn kind(state: &State) -> Check {
    const CHECK: &str = "account.type";
    if !state.is_trial() {
        return Check::fine(CHECK, "the account is no trial account");
    }
    let message =
        "this is a trial account: only numbers that somebody has verified get messages and calls, and its free credit ends";
    let advice = "verify the recipients under Phone Numbers, Verified Caller IDs in the Console, or upgrade the account";
    Check::wrong(Severity::Warning, CHECK, message, advice).at(CONSOLE)
}

fn money(settings: &Settings, balance: Result<&Money, &RestError>) -> Check {
    const CHECK: &str = "balance";
    const ADVICE: &str = "add funds in the Console under Billing, or switch auto-recharge on there";
    let Ok(left) = balance else { return cannot_ask(CHECK) };
    if left.amount <= Micros::default() {
        let message = format!("insufficient funds: {left} is left at Twilio, and nothing is sent");
        return Check::wrong(Severity::Error, CHECK, message, ADVICE).at(CONSOLE);
    }
    if settings.alerts.low_balance.is_some_and(|low| left.amount < low) {
        return Check::wrong(Severity::Warning, CHECK, format!("only {left} is left at Twilio"), ADVICE).at(CONSOLE);
    }
    Check::fine(CHECK, format!("{left} is left at Twilio"))
}

fn api_key(error: Option<&RestError>) -> Check {
    const CHECK: &str = "api_key";
    match error {
        None => Check::fine(CHECK, "Twilio accepts the API key"),
        Some(error) if error.refusal().is_some() => {
            let advice = "make a new key of this account in the Console under API keys & tokens, and connect again with it; or \
                          connect without a key (apiKey: null)";
            Check::wrong(Severity::Error, CHECK, "Twilio refuses the API key: nothing is sent", advice).at(CONSOLE)
        }
        Some(_) => cannot_ask(CHECK),
    }
}

/// What is sent from, and whether what comes in there comes to us.
fn senders(settings: &Settings, owned: Option<&[Owned]>, hooks: &Hooks) -> Vec<Check> {
    let mut checks = vec![sender(settings, Channel::Sms, owned, hooks), sender(settings, Channel::Voice, owned, hooks)];
    let own = &settings.senders;
    let addresses =
        [&own.sms, &own.voice, &own.whatsapp].into_iter().flatten().map(|address| address.trim_start_matches(WHATSAPP));
    let mut ours: Vec<&Owned> =
        addresses.filter_map(|address| owned?.iter().find(|owned| owned.phone_number == address)).collect();
    ours.sort_by(|a, b| a.phone_number.cmp(&b.phone_number));
    ours.dedup_by(|a, b| a.phone_number == b.phone_number);
    checks.extend(ours.into_iter().map(|owned| webhook(owned, hooks)));
    checks
}

fn sender(settings: &Settings, channel: Channel, owned: Option<&[Owned]>, hooks: &Hooks) -> Check {
    let check = format!("sender.{channel}");
    let Some(address) = settings.sender(channel) else {
        let message = format!("there is no sender for {channel}: nothing goes over it");
        let advice = format!("buy a number (POST /phone-numbers), or set senders.{channel}");
        return match (channel, &settings.senders.whatsapp) {
            (Channel::Sms, None) => Check::wrong(Severity::Error, check, message, advice),
            _ => Check::unknown(check, message, advice),
        };
    };
    if !address.starts_with('+') {
        let message = format!(
            "{address} is a messaging service: its numbers, and whether what comes in there comes to us, cannot be seen from here"
        );
        let advice = format!(
            "in the Console under Messaging, Services: see under Sender Pool that it has a number; under Integration choose \
             Send a webhook, and give {} as the request URL (HTTP POST), or choose Defer to sender's webhook, and wire each of \
             its numbers (POST /phone-numbers/{{number}}/wire)",
            hooks.sms
        );
        return Check::unknown(check, message, advice).at(CONSOLE);
    }
    let Some(owned) = owned else { return cannot_ask(&check) };
    let Some(number) = owned.iter().find(|owned| owned.phone_number == address) else {
        let message = format!("From number not verified: {address} is none of this account's Twilio numbers");
        let advice = format!("use one of those that GET /phone-numbers lists, or buy one; then set senders.{channel}");
        return Check::wrong(Severity::Error, check, message, advice).at(CONSOLE);
    };
    let can = number.capabilities;
    match channel {
        Channel::Sms if !can.sms => {
            let message = format!("{address} cannot send texts");
            Check::wrong(Severity::Error, check, message, "set senders.sms to a number that can, or buy one")
        }
        Channel::Voice if !can.voice => {
            let message = format!("{address} cannot call: it is not voice-enabled");
            Check::wrong(Severity::Warning, check, message, "set senders.voice to a number that can, or buy one")
        }
        Channel::Sms if !can.mms => Check::fine(check, format!("{address} sends texts, but no pictures")),
        _ => Check::fine(check, format!("{address} is the account's own, and able to")),
    }
}

/// Whether what comes in at a number comes to us (S3-81).
fn webhook(owned: &Owned, hooks: &Hooks) -> Check {
    let number = &owned.phone_number;
    let check = format!("webhook.{number}");
    if owned.is_wired(hooks) {
        return Check::fine(check, format!("Twilio brings us what comes in at {number}"));
    }
    let message = format!("Twilio does not bring us all that comes in at {number}: its webhooks point elsewhere, or nowhere");
    let advice = format!(
        "point them to us with POST /phone-numbers/{number}/wire; if nothing comes even then, our address must be reachable over \
         https with a valid certificate: Twilio's debugger says what it got"
    );
    Check::wrong(Severity::Error, check, message, advice).at(DEBUGGER)
}

/// More are not counted.
const MOST_OPT_OUTS: u32 = 1000;

async fn opt_outs(table: &Table, tenant: &TenantId) -> Result<Check, StoreError> {
    let (page, next) = consents::opt_outs(table, tenant, None, MOST_OPT_OUTS).await?;
    let more = if next.is_some() { " or more" } else { "" };
    Ok(Check::fine("opt_outs", format!("{}{more} numbers have opted out, of everything or of some kinds", page.len())))
}

/// So many of the latest messages are looked at.
const MOST_MESSAGES: usize = 5000;
const PAGE: u32 = 1000;
/// What was due so long ago and still waits is stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(10);
/// Twilio has told of a message after so long, if it can reach us.
const SILENT: SignedDuration = SignedDuration::from_mins(15);
/// So many codes and reasons are told.
const MOST_TOLD: usize = 5;

/// What was due, or came in, within the last day, and what waits to be tried again; the latest first.
async fn recent(table: &Table, tenant: &TenantId, now: Timestamp) -> Result<Vec<Message>, StoreError> {
    let span = (now - SignedDuration::from_hours(24), now + SignedDuration::from_hours(1));
    let mut found = Vec::new();
    let mut day = keys::day(span.1);
    while day >= keys::day(span.0) && found.len() < MOST_MESSAGES {
        let mut before: Option<LogEntry> = None;
        loop {
            let (page, is_last) = messages::log_page_back(table, tenant, day, span, before.as_ref(), PAGE).await?;
            before = page.last().map(|earliest| LogEntry { due_at: earliest.due_at, id: earliest.id.clone() });
            found.extend(page);
            if is_last || before.is_none() || found.len() >= MOST_MESSAGES {
                break;
            }
        }
        day = day.yesterday().unwrap_or(Date::MIN);
    }
    Ok(found)
}

fn of_messages(settings: &Settings, recent: &[Message], now: Timestamp) -> Vec<Check> {
    let out: Vec<&Message> = recent.iter().filter(|message| message.inbound.is_none() && !message.simulated).collect();
    let mut checks = failures(settings, &out);
    checks.extend(skips(recent));
    checks.push(waiting(recent, now));
    checks.extend(callbacks(&out, now));
    checks
}

/// How many failed, and with what (S3-80).
fn failures(settings: &Settings, out: &[&Message]) -> Vec<Check> {
    const CHECK: &str = "failures";
    let went = out.iter().filter(|message| matches!(message.status.shown(), "Sent" | "Delivered" | "Failed")).count();
    let failed: Vec<&&Message> = out.iter().filter(|message| message.status.shown() == "Failed").collect();
    if went == 0 {
        return vec![Check::fine(CHECK, "nothing was sent in the last 24 hours")];
    }
    let message = format!("{} of {went} messages failed in the last 24 hours ({} %)", failed.len(), failed.len() * 100 / went);
    let threshold = usize::from(settings.alerts.failure_percent.unwrap_or(100));
    let is_high = failed.len() * 100 >= threshold * went && went >= settings.alerts.failure_minimum as usize;
    let (severity, first) = if is_high {
        let advice = "look at the codes below: are the numbers right, do carriers filter the texts, do they read like spam? If it \
                      began at one moment for everybody, see Twilio's status";
        (Severity::Warning, Check::wrong(Severity::Warning, CHECK, message, advice).at(STATUS))
    } else {
        (Severity::Info, Check::fine(CHECK, message))
    };
    let mut checks = vec![first];
    for (code, times) in most(failed.iter().filter_map(|message| message.error_code)) {
        let meaning = error_codes::meaning(code);
        let message = format!("{times} × {code}: {}", meaning.title);
        checks.push(Check::wrong(severity, format!("failures.{code}"), message, meaning.advice).at(error_page(code)));
    }
    checks
}

/// Why messages were decided against.
fn skips(recent: &[Message]) -> Vec<Check> {
    let reasons = recent.iter().filter(|message| message.status == Status::Skipped).filter_map(|message| message.reason);
    let check = |(reason, times): (Reason, usize)| {
        let (name, message) = (format!("skipped.{}", reason.word()), format!("{times} × skipped: {}", reason.word()));
        match reason {
            Reason::TenantDisabled
            | Reason::TypeDisabled
            | Reason::InvalidNumber
            | Reason::NoChannel
            | Reason::MissingVariable
            | Reason::Budget
            | Reason::NotProcessed
            | Reason::OutsideWindow => Check::wrong(Severity::Warning, name, message, reason.advice()),
            _ => Check { what_to_do: Some(reason.advice().to_string()), ..Check::fine(name, message) },
        }
    };
    most(reasons).into_iter().map(check).collect()
}

/// What should have gone and did not.
fn waiting(recent: &[Message], now: Timestamp) -> Check {
    const CHECK: &str = "waiting";
    let waits = |message: &&Message| message.is_waiting() && message.inbound.is_none();
    let stuck = recent.iter().filter(waits).filter(|message| message.wakes_at() < now - STUCK).count();
    if stuck > 0 {
        let message = format!("{stuck} messages are more than 10 minutes late");
        let advice = "they go as soon as they can; if this lasts, whoever runs this platform should look at the dispatch";
        return Check::wrong(Severity::Warning, CHECK, message, advice);
    }
    let again: Vec<&Message> =
        recent.iter().filter(waits).filter(|message| message.attempt > 0 && message.due_at > now).collect();
    let Some(code) = again.iter().find_map(|message| message.error_code) else {
        return Check::fine(CHECK, format!("{} messages wait to be tried again; none is late", again.len()));
    };
    let meaning = error_codes::meaning(code);
    let message = format!("{} messages wait to be tried again: Twilio refused with {code}, {}", again.len(), meaning.title);
    Check::wrong(Severity::Warning, CHECK, message, meaning.advice).at(error_page(code))
}

/// Whether Twilio tells us what becomes of messages (S3-81).
fn callbacks(out: &[&Message], now: Timestamp) -> Option<Check> {
    const CHECK: &str = "callbacks";
    let handed_over = |message: &&&Message| {
        message.sid.is_some() && message.decided_at.is_some_and(|at| at < now - SILENT) && message.status != Status::Skipped
    };
    let of_interest: Vec<&&Message> = out.iter().filter(handed_over).collect();
    let told = of_interest.iter().filter(|message| message.reports.values().any(|step| step.step == "callback")).count();
    match (of_interest.len(), told) {
        (0, _) => None,
        (sent, 0) => {
            let message = format!("Twilio has told us nothing of {sent} messages that it took");
            let advice = "our address must be reachable over https with a valid certificate: Twilio's debugger says what it got";
            Some(Check::wrong(Severity::Warning, CHECK, message, advice).at(DEBUGGER))
        }
        (sent, told) => {
            Some(Check::fine(CHECK, format!("Twilio has told us of {told} of {sent} messages that it took")).at(WEBHOOKS))
        }
    }
}

/// Each once, with how often it is there: the most frequent first, and not all.
fn most<T: Ord + Copy>(all: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    let mut counts: Vec<(T, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, times)| Reverse(*times));
    counts.truncate(MOST_TOLD);
    counts
}
