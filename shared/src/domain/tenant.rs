//! A tenant and its settings: the same JSON in `tenant.json`, in `PUT /settings` and in the table.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::local_time::{Clock, QuietHours, Zone};
use super::money::{Currency, Micros};
use super::phone::{Region, Strictness};
use super::reminder::{Kind, Offset};
use super::template::Template;

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub name: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub time_zone: Zone,
    pub default_region: Region,
    /// Accept only valid numbers (D1).
    #[serde(default)]
    pub strict_numbers: bool,
    #[serde(default)]
    pub senders: Senders,
    pub budget: Budget,
    /// The tenant's own; `null` for none. The contact's and the law's come on top.
    #[serde(default = "default_quiet_hours")]
    pub quiet_hours: Option<QuietHours>,
    /// Messages a contact may get in 24 h; `null` for no cap.
    #[serde(default)]
    pub frequency_cap: Option<u32>,
    #[serde(default = "default_payment_time")]
    pub payment_time: Clock,
    #[serde(default)]
    pub types: Types,
    pub prices: Prices,
}

impl Settings {
    pub fn kind(&self, kind: Kind) -> &TypeSettings {
        match kind {
            Kind::LessonReminder => &self.types.lesson_reminder,
            Kind::PaymentReminder => &self.types.payment_reminder,
            Kind::ScheduleChange => &self.types.schedule_change,
            Kind::Attendance => &self.types.attendance,
        }
    }

    /// When reminders of `kind` go; none for the immediate kinds, whatever was configured (S0-48, S0-49).
    pub fn offsets(&self, kind: Kind) -> &[Offset] {
        let configured = self.kind(kind).offsets.as_deref();
        match kind {
            Kind::LessonReminder => configured.unwrap_or(&DEFAULT_LESSON_OFFSETS),
            Kind::PaymentReminder => configured.unwrap_or(&DEFAULT_PAYMENT_OFFSETS),
            Kind::ScheduleChange | Kind::Attendance => &[],
        }
    }

    pub fn sender(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Sms => self.senders.sms.as_deref(),
            Channel::Whatsapp => self.senders.whatsapp.as_deref(),
        }
    }

    /// What one billed unit costs: an SMS segment, or a WhatsApp message.
    pub fn price(&self, channel: Channel) -> Micros {
        match channel {
            Channel::Sms => self.prices.sms,
            Channel::Whatsapp => self.prices.whatsapp,
        }
    }

    /// Whether messages of `kind` are counted and limited by a frequency cap.
    pub fn counts_towards_cap(&self, kind: Kind) -> bool {
        self.frequency_cap.is_some() && kind.is_capped()
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
        Ok(())
    }
}

/// What each channel sends from: a number, `whatsapp:` number or messaging service. A channel without one is not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Senders {
    #[serde(default)]
    pub sms: Option<String>,
    #[serde(default)]
    pub whatsapp: Option<String>,
}

/// Money for one calendar month of the tenant's zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// `null` for no limit.
    #[serde(default)]
    pub monthly_limit: Option<Micros>,
    pub currency: Currency,
}

/// Prices in the budget's currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    pub sms: Micros,
    pub whatsapp: Micros,
}

/// The four kinds of message and how each is sent (S0-25..28).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Types {
    #[serde(default)]
    pub lesson_reminder: TypeSettings,
    #[serde(default)]
    pub payment_reminder: TypeSettings,
    #[serde(default)]
    pub schedule_change: TypeSettings,
    #[serde(default)]
    pub attendance: TypeSettings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeSettings {
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default = "sms_only")]
    pub channels: Vec<Channel>,
    /// The kind's own defaults when absent.
    #[serde(default)]
    pub offsets: Option<Vec<Offset>>,
    /// The default text when absent.
    #[serde(default)]
    pub template: Option<Template>,
}

impl Default for TypeSettings {
    fn default() -> Self {
        Self { enabled: true, channels: sms_only(), offsets: None, template: None }
    }
}

const DEFAULT_LESSON_OFFSETS: [Offset; 2] = [Offset::Hours(24), Offset::Hours(1)]; // S0-46
const DEFAULT_PAYMENT_OFFSETS: [Offset; 2] = [Offset::Days(3), Offset::Days(1)]; // S0-47

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
