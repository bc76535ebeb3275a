//! What a look at a tenant finds: whether each thing is as it should be, and what to do where it is not, in plain
//! words. Here is what the settings and the meter say by themselves; what Twilio and the log say, `diagnose` asks.

use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::channel::Channel;
use super::connection::WHATSAPP;
use super::contact::Category;
use super::money::{Micros, Money};
use super::reminder::Kind;
use super::tenant::Settings;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Stable; for programs: `credentials`, `balance`, `sender.sms`, `webhook.+15551234567`, `budget`, …
    pub check: String,
    /// `null` where it cannot be known from here.
    pub ok: Option<bool>,
    pub severity: Severity,
    pub message: String,
    pub what_to_do: Option<String>,
    pub link: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    /// Something does not go, or soon will not.
    Warning,
    /// Nothing goes, or nothing comes in.
    Error,
}

/// Where Twilio helps (S0-107, S1-92, S4-58).
pub const LINKS: [(&str, &str); 9] = [
    ("Console", CONSOLE),
    ("Debugger", DEBUGGER),
    ("Status", STATUS),
    ("Support", "https://support.twilio.com"),
    ("Documentation", "https://www.twilio.com/docs"),
    ("Messaging: SMS and MMS", "https://www.twilio.com/docs/messaging"),
    ("WhatsApp", WHATSAPP_DOCS),
    ("Webhooks", WEBHOOKS),
    ("Error codes", ERRORS),
];

pub const CONSOLE: &str = "https://console.twilio.com";
pub const DEBUGGER: &str = "https://console.twilio.com/us1/monitor/logs/debugger/errors";
pub const STATUS: &str = "https://status.twilio.com";
pub const ERRORS: &str = "https://www.twilio.com/docs/api/errors";
pub const WEBHOOKS: &str = "https://www.twilio.com/docs/usage/webhooks";
const WHATSAPP_DOCS: &str = "https://www.twilio.com/docs/whatsapp";

impl Check {
    pub fn fine(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            ok: Some(true),
            severity: Severity::Info,
            message: message.into(),
            what_to_do: None,
            link: None,
        }
    }

    pub fn wrong(
        severity: Severity,
        check: impl Into<String>,
        message: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        Self { ok: Some(false), severity, what_to_do: Some(what_to_do.into()), ..Self::fine(check, message) }
    }

    /// What cannot be known from here.
    pub fn unknown(check: impl Into<String>, message: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self { ok: None, what_to_do: Some(what_to_do.into()), ..Self::fine(check, message) }
    }

    pub fn at(self, link: impl Into<String>) -> Self {
        Self { link: Some(link.into()), ..self }
    }

    /// Whether something has to be done.
    pub fn is_problem(&self) -> bool {
        self.ok == Some(false)
    }
}

/// What the settings say by themselves.
pub fn of_settings(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![switches(settings), whatsapp(settings)];
    let kinds = [Kind::LessonReminder, Kind::PaymentReminder, Kind::ScheduleChange, Kind::Attendance];
    checks.extend(kinds.into_iter().map(|kind| of_kind(settings, kind)));
    checks
}

fn switches(settings: &Settings) -> Check {
    const CHECK: &str = "tenant";
    if settings.suspended {
        let advice = "ask whoever runs this platform: only they can lift it";
        return Check::wrong(Severity::Error, CHECK, "this tenant is suspended: nothing is sent", advice);
    }
    if !settings.enabled {
        let advice = "set enabled to true in the settings";
        return Check::wrong(Severity::Error, CHECK, "messages are switched off for the whole tenant", advice);
    }
    Check::fine(CHECK, "messages are switched on")
}

/// That WhatsApp approves a sender is a person's work in Twilio's Console, and cannot be seen from here (D15, S0-87).
fn whatsapp(settings: &Settings) -> Check {
    const CHECK: &str = "sender.whatsapp";
    const APPROVAL: &str = "in Twilio's Console under Messaging, Senders, WhatsApp senders, it must say Online: register the \
                            number there, and let Meta verify the business; until then Twilio refuses with 63007";
    match &settings.senders.whatsapp {
        None => {
            Check::unknown(CHECK, "there is no WhatsApp sender: nothing goes over WhatsApp", "set senders.whatsapp if you use it")
                .at(WHATSAPP_DOCS)
        }
        Some(sender) if sender.starts_with(WHATSAPP) || sender.starts_with("MG") => {
            let message = format!("{sender} sends over WhatsApp; whether WhatsApp has approved it cannot be seen from here");
            Check::unknown(CHECK, message, APPROVAL).at(WHATSAPP_DOCS)
        }
        Some(sender) => {
            let message = format!("{sender} is no WhatsApp sender");
            Check::wrong(Severity::Error, CHECK, message, "write it as whatsapp:+15551234567").at(WHATSAPP_DOCS)
        }
    }
}

fn of_kind(settings: &Settings, kind: Kind) -> Check {
    let check = format!("type.{kind}");
    let Some(own) = settings.kind(kind).filter(|own| own.enabled) else {
        return Check::fine(check, "messages of this type are switched off, as the settings have it");
    };
    let lacking: Vec<&str> =
        own.channels.iter().filter(|channel| settings.sender(**channel).is_none()).map(|channel| channel.word()).collect();
    if !lacking.is_empty() {
        let (severity, what) =
            if lacking.len() == own.channels.len() { (Severity::Error, "nothing") } else { (Severity::Warning, "not all") };
        let message = format!("{what} of this type goes: there is no sender for {}", lacking.join(", "));
        return Check::wrong(severity, check, message, "set the sender in senders, or take the channel from the type's channels");
    }
    if own.channels.is_empty() {
        let message = "nothing of this type goes, except to contacts who chose a channel: it has none";
        return Check::wrong(Severity::Warning, check, message, "name sms, whatsapp or both in the type's channels");
    }
    if own.channels.contains(&Channel::Whatsapp) && own.content_sid.is_none() {
        let message = "over WhatsApp only those get it who wrote within 24 hours: no approved template is named";
        let advice = "have a template approved in Twilio's Content Template Builder, and name it in contentSid";
        return Check::wrong(Severity::Warning, check, message, advice).at(WHATSAPP_DOCS);
    }
    Check::fine(
        check,
        format!("goes over {}", own.channels.iter().map(|channel| channel.word()).collect::<Vec<_>>().join(" and ")),
    )
}

/// How far the month's budget is spent (S0-88).
pub fn of_budget(settings: &Settings, used: Micros, now: Timestamp) -> Check {
    const CHECK: &str = "budget";
    let shown = |amount: Micros| Money { amount, currency: settings.budget.currency.clone() }.to_string();
    let Some(limit) = settings.limit(Category::General) else {
        return Check::fine(CHECK, format!("{} used this month; there is no limit", shown(used)));
    };
    let message = format!("{} of {} used this month", shown(used), shown(limit));
    let reset = settings.time_zone.wall(now).date().last_of_month().saturating_add(1.day());
    let advice = format!("increase the limit (settings, budget.monthlyLimit), or wait for the reset on {reset}");
    if used >= limit {
        return Check::wrong(Severity::Error, CHECK, format!("budget exceeded: {message}"), advice);
    }
    let first = settings.budget.alerts.iter().min().copied().unwrap_or(100);
    if used.0.saturating_mul(100) >= limit.0.saturating_mul(i64::from(first)) {
        return Check::wrong(Severity::Warning, CHECK, format!("nearly spent: {message}"), advice);
    }
    Check::fine(CHECK, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(more: serde_json::Value) -> Settings {
        let mut json = serde_json::json!({
            "name": "School", "timeZone": "America/New_York", "defaultRegion": "US",
            "senders": { "sms": "+15005550006" }, "budget": { "monthlyLimit": "10.00", "currency": "USD" },
        });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    fn found<'a>(checks: &'a [Check], name: &str) -> &'a Check {
        checks.iter().find(|check| check.check == name).unwrap()
    }

    #[test]
    fn a_budget_is_fine_near_or_exceeded() {
        let now = "2026-12-31T23:00:00Z".parse().unwrap();
        let of = |used: &str| of_budget(&settings(serde_json::json!({})), Micros::parse(used).unwrap(), now);
        assert_eq!((of("7.99").ok, of("7.99").severity), (Some(true), Severity::Info));
        assert_eq!((of("8.00").ok, of("8.00").severity), (Some(false), Severity::Warning));
        let over = of("10.00");
        assert_eq!(over.severity, Severity::Error);
        assert!(
            over.what_to_do
                .unwrap()
                .ends_with("increase the limit (settings, budget.monthlyLimit), or wait for the reset on 2027-01-01")
        );
        assert!(over.message.contains("$10.00 of $10.00"), "{}", over.message);
    }

    #[test]
    fn a_type_without_a_sender_is_named() {
        let types = |channels: serde_json::Value| serde_json::json!({ "types": { "schedule_change": { "channels": channels } } });
        let of = |more| found(&of_settings(&settings(more)), "type.schedule_change").clone();
        assert_eq!(of(types(serde_json::json!(["sms"]))).ok, Some(true));
        assert_eq!(of(types(serde_json::json!(["whatsapp"]))).severity, Severity::Error);
        assert_eq!(of(types(serde_json::json!(["sms", "whatsapp"]))).severity, Severity::Warning);
        assert_eq!(of(types(serde_json::json!([]))).ok, Some(false));
        let off = serde_json::json!({ "types": { "schedule_change": { "enabled": false, "channels": ["whatsapp"] } } });
        assert_eq!(of(off).ok, Some(true));
    }

    #[test]
    fn whoever_is_switched_off_is_told_by_whom() {
        let of = |more| found(&of_settings(&settings(more)), "tenant").clone();
        assert_eq!(of(serde_json::json!({})).ok, Some(true));
        assert!(of(serde_json::json!({ "enabled": false })).what_to_do.unwrap().contains("settings"));
        assert!(of(serde_json::json!({ "suspended": true })).what_to_do.unwrap().contains("platform"));
    }

    #[test]
    fn what_only_a_person_can_see_is_said_so() {
        let senders = serde_json::json!({ "senders": { "whatsapp": "whatsapp:+15005550006" } });
        let check = found(&of_settings(&settings(senders)), "sender.whatsapp").clone();
        assert_eq!(check.ok, None); // D15
        assert!(check.what_to_do.unwrap().contains("Console"));
    }
}
