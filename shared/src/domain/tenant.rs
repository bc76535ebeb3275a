//! A tenant and its settings: the same JSON in `tenant.json`, in `PUT /settings` and in the table.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::answer::AnswerSettings;
use super::campaign::guard::CampaignSettings;
use super::channel::Channel;
use super::connection::{self, WHATSAPP};
use super::consent::{self, ConsentSettings};
use super::contact::Category;
use super::local_time::{Clock, QuietHours, Zone};
use super::money::{Currency, Micros};
use super::phone::{PhoneNumber, Region, Strictness};
use super::price_list::{self, Rates};
use super::reminder::{Kind, Offset};
use super::template::Template;
use super::texts;

/// The school, church, restaurant or business whose Twilio account sends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    /// # Errors
    /// Ids are 1 to 64 of `a-z A-Z 0-9 _ -`: they stand in keys, paths and callback URLs.
    pub fn parse(id: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(Self(id.to_string())) } else { Err(format!("not a tenant id: '{id}'")) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TenantId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        Self::parse(&id)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything a tenant decides about its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// What it calls itself in its messages.
    pub name: String,
    /// `false`: nothing goes. `true` when absent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// By the platform: nothing goes, whatever `enabled` says. Not the tenant's to change.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspended: bool,
    /// What the tenant is, so that it is offered the templates of its trade first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade: Option<Trade>,
    /// An IANA zone: `America/New_York`.
    #[schema(value_type = String, example = "America/New_York")]
    pub time_zone: Zone,
    /// The country of numbers that are written without one, as ISO 3166: `US`.
    #[schema(value_type = String, example = "US")]
    pub default_region: Region,
    /// Accept only numbers that are assigned in their country, not all that are possible (D1).
    #[serde(default)]
    pub strict_numbers: bool,
    #[serde(default)]
    pub senders: Senders,
    pub budget: Budget,
    /// The tenant's own, when no message goes; `null` for none, 21:00 to 08:00 when absent. The contact's and the law's
    /// come on top.
    #[serde(default = "default_quiet_hours")]
    pub quiet_hours: Option<QuietHours>,
    /// Messages a contact may get in 24 h; `null` for no cap.
    #[serde(default)]
    pub frequency_cap: Option<u32>,
    /// When reminders of payments go, by the tenant's clock; `10:00` when absent.
    #[serde(default = "default_payment_time")]
    #[schema(value_type = String, example = "10:00")]
    pub payment_time: Clock,
    #[serde(default)]
    pub types: Types,
    #[serde(default)]
    pub prices: Prices,
    #[serde(default)]
    pub pacing: Pacing,
    /// Calls of the API in a minute, beyond which it answers 429 (S1-90); 6000 when absent.
    #[serde(default = "default_requests_per_minute")]
    pub requests_per_minute: u32,
    /// After so many attempts that Twilio did not process, a message fails (S3-63); 8 when absent.
    #[serde(default = "default_max_attempts")]
    pub max_attempts: u32,
    /// Numbers that are never called (S1-58, S1-68).
    #[serde(default)]
    pub do_not_call: Vec<String>,
    /// The words of opting out and in, and what is answered to them.
    #[serde(default)]
    pub consent: ConsentSettings,
    /// How reminders are answered.
    #[serde(default)]
    pub answers: AnswerSettings,
    /// What is answered to a text that is this word and nothing else: `HOURS`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keyword_replies: BTreeMap<String, String>,
    /// What a caller hears.
    #[serde(default)]
    pub greeting: Greeting,
    /// Whether texts are kept once they have gone or were read (S0-74); `true` when absent.
    #[serde(default = "yes")]
    pub log_content: bool,
    #[serde(default)]
    pub retention: Retention,
    #[serde(default)]
    pub alerts: Alerts,
    /// What the texts of campaigns are given that lack it.
    #[serde(default)]
    pub campaigns: CampaignSettings,
}

impl Settings {
    /// Whether anything goes at all.
    pub fn is_on(&self) -> bool {
        self.enabled && !self.suspended
    }

    /// How a type of message is sent; `None` for what somebody writes, which has no type.
    pub fn kind(&self, kind: Kind) -> Option<&TypeSettings> {
        match kind {
            Kind::LessonReminder => Some(&self.types.lesson_reminder),
            Kind::PaymentReminder => Some(&self.types.payment_reminder),
            Kind::ScheduleChange => Some(&self.types.schedule_change),
            Kind::Attendance => Some(&self.types.attendance),
            Kind::Message | Kind::Test | Kind::Inbound => None,
        }
    }

    /// When reminders of `kind` go; none for the immediate kinds, whatever was configured (S0-48, S0-49).
    pub fn offsets(&self, kind: Kind) -> &[Offset] {
        let configured = self.kind(kind).and_then(|settings| settings.offsets.as_deref());
        match kind {
            Kind::LessonReminder => configured.unwrap_or(&DEFAULT_LESSON_OFFSETS),
            Kind::PaymentReminder => configured.unwrap_or(&DEFAULT_PAYMENT_OFFSETS),
            Kind::ScheduleChange | Kind::Attendance | Kind::Message | Kind::Test | Kind::Inbound => &[],
        }
    }

    /// What `channel` sends from. Calls need a number: a messaging service cannot call.
    pub fn sender(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Sms | Channel::Mms => self.senders.sms.as_deref(),
            Channel::Whatsapp => self.senders.whatsapp.as_deref(),
            Channel::Voice => {
                let number = self.senders.sms.as_deref().filter(|sender| sender.starts_with('+'));
                self.senders.voice.as_deref().or(number)
            }
        }
    }

    /// What one billed unit to `to` costs: an SMS segment, an MMS or WhatsApp message, a begun minute of a call.
    ///
    /// The tenant's price for the longest prefix of the number, else its price for the channel, else
    /// the built-in list's.
    pub fn price(&self, channel: Channel, to: &PhoneNumber) -> Micros {
        let by_prefix = price_list::longest_prefix(&self.prices.by_prefix, to.e164()).and_then(|own| own.of(channel));
        by_prefix.or_else(|| self.prices.every_country.of(channel)).unwrap_or_else(|| self.listed_price(channel, to))
    }

    fn listed_price(&self, channel: Channel, to: &PhoneNumber) -> Micros {
        let listed = price_list::rates(to.e164());
        // The list is in dollars: elsewhere its proportions hold, and the tenant's own SMS is the measure.
        let (measure, unit) = match self.prices.every_country.sms {
            Some(own) if self.budget.currency != Currency::usd() => (own.0, listed.sms.0.max(1)),
            _ => (1, 1),
        };
        let Rates { sms, mms, whatsapp, voice } = listed.scaled(measure, unit);
        match channel {
            Channel::Sms if self.sender(channel).is_some_and(price_list::is_toll_free) => {
                sms.max(price_list::TOLL_FREE_SENDER_SMS)
            }
            Channel::Sms => sms,
            Channel::Mms => mms,
            Channel::Whatsapp => whatsapp,
            Channel::Voice => voice,
        }
    }

    /// What may be spent on messages of `category` in a month: all but the reserve for authentication codes.
    pub fn limit(&self, category: Category) -> Option<Micros> {
        let limit = self.budget.monthly_limit?;
        match category {
            Category::Authentication => Some(limit),
            _ => Some(Micros((limit.0 - self.budget.authentication_reserve.0).max(0))),
        }
    }

    /// How many billed units a second the sender of `channel` takes (S1-75, S1-76).
    pub fn units_per_second(&self, channel: Channel) -> u32 {
        let own = match channel {
            Channel::Sms => self.pacing.sms,
            Channel::Mms => self.pacing.mms,
            Channel::Whatsapp => self.pacing.whatsapp,
            Channel::Voice => self.pacing.voice,
        };
        let usual = match channel {
            // Twilio's rates by kind of sender; a messaging service has at least one long code.
            Channel::Sms if self.sender(channel).is_some_and(price_list::is_toll_free) => 3,
            Channel::Whatsapp => 80,
            Channel::Sms | Channel::Mms | Channel::Voice => 1,
        };
        own.unwrap_or(usual).max(1)
    }

    /// Whether the tenant never calls this number.
    pub fn is_do_not_call(&self, number: &PhoneNumber) -> bool {
        self.do_not_call.iter().any(|listed| {
            PhoneNumber::parse(listed, &self.default_region, Strictness::Possible)
                .is_ok_and(|listed| listed.e164() == number.e164())
        })
    }

    /// What the tenant answers to a text that is a word of its own and nothing else.
    pub fn keyword_reply(&self, body: &str) -> Option<&str> {
        let text = consent::normalised(body);
        let known = self.keyword_replies.iter().find(|(word, _)| consent::normalised(word) == text);
        known.map(|(_, reply)| reply.as_str()).filter(|reply| !text.is_empty() && !reply.trim().is_empty())
    }

    /// Whether `address` is one of the tenant's own senders: a text from there is an echo.
    pub fn is_own(&self, address: &str) -> bool {
        let bare = |address: &str| address.trim_start_matches("whatsapp:").to_string();
        let own = [&self.senders.sms, &self.senders.whatsapp, &self.senders.voice];
        own.into_iter().flatten().any(|sender| bare(sender) == bare(address))
    }

    pub fn strictness(&self) -> Strictness {
        if self.strict_numbers { Strictness::Valid } else { Strictness::Possible }
    }

    /// # Errors
    /// What no field can say alone: payment offsets are whole days (reminders.md §1.3).
    pub fn validate(&self) -> Result<(), String> {
        if let Some(bad) = self.offsets(Kind::PaymentReminder).iter().find(|offset| !matches!(offset, Offset::Days(_))) {
            return Err(format!("types.payment_reminder.offsets: a payment's offset is whole days (3d), not '{bad}'"));
        }
        let types = [Kind::LessonReminder, Kind::PaymentReminder, Kind::ScheduleChange, Kind::Attendance];
        for kind in types {
            if kind != Kind::LessonReminder && self.kind(kind).is_some_and(|settings| settings.asks_for_answer) {
                return Err(format!("types.{kind}.asksForAnswer: only lesson reminders ask"));
            }
            let channels = self.kind(kind).map_or(&[][..], |settings| &settings.channels);
            if let Some(bad) = channels.iter().find(|channel| !Channel::BY_CHOICE.contains(channel)) {
                return Err(format!("types.{kind}.channels: sms and whatsapp only, not '{bad}'"));
            }
            self.validate_texts(kind)?;
        }
        self.senders.validate()?;
        self.consent.validate()?;
        self.answers.validate()?;
        self.campaigns.validate().map_err(|error| format!("campaigns.{error}"))?;
        let texts = [&self.answers.confirmed_text, &self.answers.another_time_text, &self.answers.prompt];
        let texts = texts.into_iter().flatten().chain(self.keyword_replies.values());
        if let Some(long) = texts.into_iter().find(|text| text.encode_utf16().count() > LONGEST_TEXT) {
            let beginning: String = long.chars().take(40).collect();
            return Err(format!("answers, keywordReplies: a text has at most {LONGEST_TEXT} characters: '{beginning}…'"));
        }
        for word in self.keyword_replies.keys() {
            let reading = consent::read(word, &self.consent, None, false);
            if consent::normalised(word).is_empty() || reading.wish.is_some() {
                return Err(format!("keywordReplies: '{word}' has no letter, or means an opt-out, an opt-in or a call for help"));
            }
        }
        if let Some(bad) = self.prices.by_prefix.keys().find(|prefix| !is_prefix(prefix)) {
            return Err(format!("prices.byPrefix: a prefix is + and digits (+44), not '{bad}'"));
        }
        let rates = std::iter::once(&self.prices.every_country).chain(self.prices.by_prefix.values());
        let mut prices = rates.flat_map(|rates| [rates.sms, rates.mms, rates.whatsapp, rates.voice]).flatten();
        if prices.any(|price| price > DEAREST) {
            return Err(format!("prices: a unit costs {DEAREST} at most"));
        }
        if self.budget.monthly_limit.is_some_and(|limit| limit > HIGHEST_LIMIT) {
            return Err(format!("budget.monthlyLimit: {HIGHEST_LIMIT} at most, or null for none"));
        }
        if self.requests_per_minute < 10 {
            return Err("requestsPerMinute: at least 10, or nobody could ask for it to be changed".into());
        }
        if self.max_attempts == 0 {
            return Err("maxAttempts: at least 1".into());
        }
        let Retention { messages_days, audit_days } = self.retention;
        if [messages_days, audit_days].iter().any(|days| !(7..=3650).contains(days)) {
            return Err("retention: messagesDays and auditDays are 7 to 3650".into());
        }
        if self.alerts.failure_percent.is_some_and(|share| !(1..=100).contains(&share)) {
            return Err("alerts.failurePercent: 1 to 100, or null for none".into());
        }
        let own = &self.prices.every_country;
        if self.budget.currency != Currency::usd() && (own.sms.is_none() || own.whatsapp.is_none()) {
            return Err("prices: the built-in list is in USD; name sms and whatsapp for another currency".into());
        }
        if let Some(bad) = self.budget.alerts.iter().find(|share| !(1..=100).contains(*share)) {
            return Err(format!("budget.alerts: a share is 1 to 100 percent, not {bad}"));
        }
        Ok(())
    }

    /// # Errors
    /// A text of `kind` asks for what its messages never have: none of them would go.
    fn validate_texts(&self, kind: Kind) -> Result<(), String> {
        let Some(own) = self.kind(kind) else { return Ok(()) };
        let needed = own.template.as_ref().map(|template| template.missing(|_| None)).unwrap_or_default();
        let filled = own.content_variables.iter().map(String::as_str);
        let used = needed.into_iter().map(|name| ("template", name)).chain(filled.map(|name| ("contentVariables", name)));
        for (field, name) in used {
            if let Some(reason) = texts::never_filled(kind, name) {
                return Err(format!("types.{kind}.{field}: {reason}"));
            }
        }
        Ok(())
    }
}

/// The trades whose templates we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trade {
    School,
    Church,
    Restaurant,
    Business,
}

/// For how many days what was sent and came in, and who did what, is kept (S0-75, S3-57).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// 7 to 3650; 400 when absent.
    #[serde(default = "default_retention")]
    pub messages_days: u32,
    /// 7 to 3650; 400 when absent.
    #[serde(default = "default_retention")]
    pub audit_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { messages_days: default_retention(), audit_days: default_retention() }
    }
}

/// When somebody is told that something is wrong. `null` for never.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Alerts {
    /// So many percent of an hour's messages failed (S4-49), of at least `failure_minimum`.
    pub failure_percent: Option<u8>,
    pub failure_minimum: u32,
    /// Half of an hour's messages took longer than so many seconds from sending to delivery.
    pub slow_seconds: Option<u32>,
    /// Less than this is left at Twilio, in the account's currency.
    #[schema(value_type = Option<String>, example = "5.00")]
    pub low_balance: Option<Micros>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { failure_percent: Some(20), failure_minimum: 20, slow_seconds: Some(300), low_balance: Some(Micros(5_000_000)) }
    }
}

/// What each channel sends from: a number, `whatsapp:` number or messaging service. A channel without one is not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Senders {
    /// `+15551234567`, or a messaging service: `MG…`. Of MMS as well.
    #[serde(default)]
    pub sms: Option<String>,
    /// `whatsapp:+15551234567`, or a messaging service.
    #[serde(default)]
    pub whatsapp: Option<String>,
    /// `+15551234567`. The sender of texts when absent.
    #[serde(default)]
    pub voice: Option<String>,
}

impl Senders {
    /// Without spaces around them, and WhatsApp's with its prefix; what was left empty is none.
    pub fn tidied(self) -> Self {
        let tidy = |sender: Option<String>| sender.map(|sender| sender.trim().to_string()).filter(|sender| !sender.is_empty());
        let whatsapp = tidy(self.whatsapp).map(|sender| {
            let bare = match sender.get(..WHATSAPP.len()) {
                Some(prefix) if prefix.eq_ignore_ascii_case(WHATSAPP) => sender[WHATSAPP.len()..].trim(),
                _ => sender.as_str(),
            };
            if bare.starts_with('+') { format!("{WHATSAPP}{bare}") } else { bare.to_string() }
        });
        Self { sms: tidy(self.sms), whatsapp, voice: tidy(self.voice) }
    }

    /// # Errors
    /// A sender that Twilio could not send from, by its form (S0-22, S1-18).
    fn validate(&self) -> Result<(), String> {
        let service = |sender: &str| connection::is_sid(sender, "MG");
        let of_whatsapp = |sender: &str| sender.strip_prefix(WHATSAPP).is_some_and(connection::is_e164) || service(sender);
        let Self { sms, whatsapp, voice } = self;
        if sms.as_deref().is_some_and(|sender| !connection::is_e164(sender) && !service(sender)) {
            return Err("senders.sms: a number (+15551234567) or a messaging service (MG and 32 of 0-9 and a-f)".into());
        }
        if whatsapp.as_deref().is_some_and(|sender| !of_whatsapp(sender)) {
            return Err("senders.whatsapp: a number (whatsapp:+15551234567) or a messaging service (MG…)".into());
        }
        if voice.as_deref().is_some_and(|sender| !connection::is_e164(sender)) {
            return Err("senders.voice: a number (+15551234567); a messaging service cannot call".into());
        }
        Ok(())
    }
}

/// What somebody hears who calls one of the tenant's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Greeting {
    /// With `{name}` for the tenant's; the default when absent.
    #[serde(default)]
    pub text: Option<String>,
    /// Twilio's name of a voice: `alice`, `Polly.Joanna`.
    #[serde(default)]
    pub voice: Option<String>,
    /// BCP 47: `en-US`.
    #[serde(default)]
    pub language: Option<String>,
    /// What is said about the key 9; the default when absent. It knows `{name}`, as do the next two.
    #[serde(default)]
    pub opt_out: Option<String>,
    /// What is said once it was pressed; the default when absent.
    #[serde(default)]
    pub opted_out: Option<String>,
    /// What is said last; the default when absent.
    #[serde(default)]
    pub good_bye: Option<String>,
}

impl Greeting {
    /// The four things that are said, in order.
    pub fn spoken(&self, name: &str) -> Spoken {
        let say = |own: &Option<String>, usual: &str| {
            let own = own.as_deref().filter(|text| !text.trim().is_empty());
            own.unwrap_or(usual).replace("{name}", name)
        };
        Spoken {
            greeting: say(&self.text, "Hello, this is {name}. Nobody takes calls at this number. Please send us a text."),
            opt_out: say(&self.opt_out, "To get no more messages and calls from us, press 9."),
            opted_out: say(&self.opted_out, "You get no more messages and calls from {name}. Good bye."),
            good_bye: say(&self.good_bye, "Good bye."),
        }
    }
}

/// What a caller hears, word for word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub greeting: String,
    pub opt_out: String,
    pub opted_out: String,
    pub good_bye: String,
}

/// Money for one calendar month of the tenant's zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// `null` for no limit.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "150.00")]
    pub monthly_limit: Option<Micros>,
    /// ISO 4217: `USD`. Another one needs `prices`.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// At which shares of the limit, in percent, we say so; 80 and 100 when absent.
    #[serde(default = "default_alerts")]
    pub alerts: Vec<u8>,
    /// What of the limit only authentication codes may spend.
    #[serde(default)]
    #[schema(value_type = String, example = "10.00")]
    pub authentication_reserve: Micros,
}

/// The tenant's own prices, in the budget's currency; the built-in list says the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    #[serde(flatten)]
    pub every_country: OwnRates,
    /// By the beginning of the recipient's number: `+44`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_prefix: BTreeMap<String, OwnRates>,
}

/// Prices of one billed unit of each channel, as far as the tenant says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OwnRates {
    /// Of a segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0.0079")]
    pub sms: Option<Micros>,
    /// Of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0.02")]
    pub mms: Option<Micros>,
    /// Of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0.005")]
    pub whatsapp: Option<Micros>,
    /// Of a begun minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0.013")]
    pub voice: Option<Micros>,
}

impl OwnRates {
    fn of(&self, channel: Channel) -> Option<Micros> {
        match channel {
            Channel::Sms => self.sms,
            Channel::Mms => self.mms,
            Channel::Whatsapp => self.whatsapp,
            Channel::Voice => self.voice,
        }
    }
}

fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// How many billed units a second each channel's sender takes; the usual rate of its kind when absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pacing {
    #[serde(default)]
    pub sms: Option<u32>,
    #[serde(default)]
    pub mms: Option<u32>,
    #[serde(default)]
    pub whatsapp: Option<u32>,
    #[serde(default)]
    pub voice: Option<u32>,
}

/// The four kinds of message and how each is sent (S0-25..28).
///
/// The texts are filled with what each knows, and with the contact's `attributes`: `{time}`, or `{nick|there}` with a
/// default for a contact that has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Types {
    /// Its text knows `{name}`, `{subject}`, `{teacher}`, `{course}`, `{time}`, `{date}` and `{day}`. `offsets` as
    /// `["24h", "1h"]` when absent.
    #[serde(default)]
    pub lesson_reminder: TypeSettings,
    /// Its text knows `{name}`, `{amount}`, `{course}`, `{date}` and `{day}`. `offsets` as `["3d", "1d"]` when absent,
    /// and always whole days.
    #[serde(default)]
    pub payment_reminder: TypeSettings,
    /// Its text, of a lesson that was moved, knows `{name}`, `{subject}`, `{teacher}`, `{course}`, `{original_time}`,
    /// `{new_time}`, and of the new start `{time}`, `{date}` and `{day}`. A cancellation has the default text. It goes at
    /// once: `offsets` mean nothing.
    #[serde(default)]
    pub schedule_change: TypeSettings,
    /// Its text knows `{name}`, `{subject}`, `{teacher}`, `{course}`, `{status}`, `{time}`, `{date}` and `{day}`. It goes
    /// at once: `offsets` mean nothing.
    #[serde(default)]
    pub attendance: TypeSettings,
}

/// How one kind of message is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeSettings {
    /// `true` when absent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// `sms`, `whatsapp` or both; `sms` when absent.
    #[serde(default = "sms_only")]
    pub channels: Vec<Channel>,
    /// How long before: `90m`, `24h`, `3d`. The kind's own when absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["24h", "1h"]))]
    pub offsets: Option<Vec<Offset>>,
    /// The default text when absent. `types` says which variables it knows.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Hi {name}, see you on {date} at {time}.")]
    pub template: Option<Template>,
    /// The approved template of Twilio's that says the same over WhatsApp: `HX…` (D14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sid: Option<String>,
    /// Which variables fill its `{{1}}`, `{{2}}`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_variables: Vec<String>,
    /// Of lesson reminders: whether they ask to confirm, or for another time.
    #[serde(default)]
    pub asks_for_answer: bool,
}

impl Default for TypeSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            channels: sms_only(),
            offsets: None,
            template: None,
            content_sid: None,
            content_variables: Vec::new(),
            asks_for_answer: false,
        }
    }
}

/// Twilio's limit of a text, in UTF-16 units (21617).
const LONGEST_TEXT: usize = 1600;
/// For a unit. A campaign of a million rows at this price can still be counted.
const DEAREST: Micros = Micros(100_000_000_000);
/// A hundred times as much can still be counted, of which shares in percent are taken.
const HIGHEST_LIMIT: Micros = Micros(10_000_000_000_000_000);

const DEFAULT_LESSON_OFFSETS: [Offset; 2] = [Offset::Hours(24), Offset::Hours(1)]; // S0-46
const DEFAULT_PAYMENT_OFFSETS: [Offset; 2] = [Offset::Days(3), Offset::Days(1)]; // S0-47

fn default_alerts() -> Vec<u8> {
    vec![80, 100]
}

fn default_requests_per_minute() -> u32 {
    6000
}

fn default_max_attempts() -> u32 {
    8
}

fn default_retention() -> u32 {
    400
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn yes() -> bool {
    true
}

fn sms_only() -> Vec<Channel> {
    vec![Channel::Sms]
}

fn default_quiet_hours() -> Option<QuietHours> {
    Some(super::local_time::LAWFUL_QUIET_HOURS)
}

fn default_payment_time() -> Clock {
    Clock::new(10, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_tidied_and_looked_at() {
        let tidied = |sms: &str, whatsapp: &str, voice: &str| {
            let some = |text: &str| Some(text.to_string());
            Senders { sms: some(sms), whatsapp: some(whatsapp), voice: some(voice) }.tidied()
        };
        let good = tidied(" +15551234567 ", "WhatsApp: +15551234567", "");
        assert_eq!((good.sms.as_deref(), good.voice.as_deref()), (Some("+15551234567"), None));
        assert_eq!(good.whatsapp.as_deref(), Some("whatsapp:+15551234567"));
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(tidied("", "+1234567890", "").whatsapp.as_deref(), Some("whatsapp:+1234567890")); // S0-22
        let service = format!("MG{}", "a".repeat(32));
        assert_eq!(tidied(&service, &service, "+15551234567").validate(), Ok(()));
        for (sms, whatsapp, voice, field) in [
            ("5551234567", "", "", "senders.sms"),
            ("MG12", "", "", "senders.sms"),
            ("LINDEN", "", "", "senders.sms"),
            ("", "15551234567", "", "senders.whatsapp"),
            ("", "", service.as_str(), "senders.voice"),
        ] {
            let error = tidied(sms, whatsapp, voice).validate().err().unwrap_or_default();
            assert!(error.starts_with(field), "{field}: {error}");
        }
    }

    fn refused(types: serde_json::Value) -> String {
        let json = serde_json::json!({
            "name": "School", "timeZone": "America/New_York", "defaultRegion": "US", "types": types,
            "budget": { "currency": "USD" },
        });
        let settings = serde_json::from_value::<Settings>(json).map_err(|error| error.to_string());
        settings.and_then(|settings| settings.validate()).err().unwrap_or_default()
    }

    #[test]
    fn a_text_that_could_never_be_filled_is_refused() {
        let template = |kind: &str, text: &str| refused(serde_json::json!({ kind: { "template": text } }));
        for (kind, text, meant) in [
            ("lesson_reminder", "Hi {nmae}", "{name}"),
            ("lesson_reminder", "With {Teacher}", "{teacher}"),
            ("lesson_reminder", "{teecher|x} and {teecher}", "{teacher}"),
            ("payment_reminder", "{amout} is due", "{amount}"),
            ("payment_reminder", "due at {time}", "{date}"),
            ("schedule_change", "from {originaltime}", "{original_time}"),
            ("attendance", "{new_time}", "{status}"),
        ] {
            let reason = template(kind, text);
            assert!(reason.starts_with(&format!("types.{kind}.template: ")) && reason.contains(meant), "{text}: {reason}");
        }
        for (kind, text) in [
            ("lesson_reminder", "Hi {name}, {subject} at {time}, room {room}, {Parent_Name}, {nmae|you}"),
            ("payment_reminder", "{amount} for {course|lessons} until {date}, {grade} {house}"),
            ("schedule_change", "{subject}: {new_time} instead of {original_time}"),
            ("attendance", "{name}: {status} on {date}"),
        ] {
            assert_eq!(template(kind, text), "", "{text}");
        }
        let filled = refused(serde_json::json!({ "lesson_reminder": { "contentVariables": ["name", "statsu", "subjct"] } }));
        assert!(filled.starts_with("types.lesson_reminder.contentVariables: ") && filled.contains("{subject}"), "{filled}");
    }
}
