//! A contact: the person (student, parent, member, guest), their numbers and their wishes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::channel::{Channel, ChannelPreference};
use super::local_time::{QuietHours, Zone};
use super::phone::PhoneNumber;

/// A contact as stored; groups are stored beside it too, by group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The tenant's own id for the person.
    pub id: String,
    pub name: String,
    pub phone: Number,
    pub whatsapp: Number,
    pub email: Option<String>,
    pub channel: Option<ChannelPreference>,
    /// The tenant's zone when absent.
    pub time_zone: Option<Zone>,
    pub groups: Vec<String>,
    pub quiet_hours: Option<QuietHours>,
    pub opted_out: bool,
    pub opted_out_categories: BTreeSet<Category>,
    /// Columns of the file that we do not know, by [`attribute_key`]; templates may use them.
    pub attributes: BTreeMap<String, String>,
}

/// A number as given. An unusable one is kept: it says why somebody got nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Number {
    #[default]
    Absent,
    Unusable(String),
    Usable(PhoneNumber),
}

impl Number {
    fn usable(&self) -> Option<&PhoneNumber> {
        match self {
            Number::Usable(number) => Some(number),
            Number::Absent | Number::Unusable(_) => None,
        }
    }
}

/// What somebody wishes about being messaged, kept beside their numbers too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wishes {
    pub opted_out: bool,
    pub opted_out_categories: BTreeSet<Category>,
    pub quiet_hours: Option<QuietHours>,
    pub time_zone: Option<Zone>,
}

impl Contact {
    pub fn wishes(&self) -> Wishes {
        Wishes {
            opted_out: self.opted_out,
            opted_out_categories: self.opted_out_categories.clone(),
            quiet_hours: self.quiet_hours,
            time_zone: self.time_zone.clone(),
        }
    }

    /// A number, with the wishes of everybody whom it reaches: what one of them does not want, it does not get.
    pub fn at_number<'a>(number: PhoneNumber, known: impl IntoIterator<Item = &'a Wishes>) -> Self {
        let mut contact = Self::unknown(number);
        for wishes in known {
            contact.opted_out |= wishes.opted_out;
            contact.opted_out_categories.extend(&wishes.opted_out_categories);
            contact.quiet_hours = contact.quiet_hours.or(wishes.quiet_hours);
            contact.time_zone = contact.time_zone.or_else(|| wishes.time_zone.clone());
        }
        contact
    }

    /// Somebody of whom we know nothing but a number.
    pub fn unknown(number: PhoneNumber) -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            phone: Number::Usable(number),
            whatsapp: Number::Absent,
            email: None,
            channel: None,
            time_zone: None,
            groups: Vec::new(),
            quiet_hours: None,
            opted_out: false,
            opted_out_categories: BTreeSet::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// The number given for `channel`: WhatsApp uses `whatsapp`, else `phone`; a given but
    /// unusable `whatsapp` does not fall back (reminders.md §3.3).
    pub fn number_given(&self, channel: Channel) -> &Number {
        match (channel, &self.whatsapp) {
            (Channel::Sms | Channel::Mms | Channel::Voice, _) | (Channel::Whatsapp, Number::Absent) => &self.phone,
            (Channel::Whatsapp, given) => given,
        }
    }

    /// The number that `channel` reaches this contact at, if there is one.
    pub fn number(&self, channel: Channel) -> Option<&PhoneNumber> {
        self.number_given(channel).usable()
    }
}

/// How an attribute's name is compared: without case, spaces, `_` and `-`, as headers are.
pub fn attribute_key(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// What a message is for, and what a contact can opt out of on its own (S3-46, S3-56).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Lessons,
    Payments,
    Schedule,
    Attendance,
    Marketing,
    Reservation,
    Reminder,
    Order,
    /// One-time codes: they go at any hour, and have a reserve of the budget.
    Authentication,
    /// Everything else.
    General,
}

impl Category {
    pub const ALL: [Category; 10] = [
        Category::Lessons,
        Category::Payments,
        Category::Schedule,
        Category::Attendance,
        Category::Marketing,
        Category::Reservation,
        Category::Reminder,
        Category::Order,
        Category::Authentication,
        Category::General,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Lessons => "lessons",
            Self::Payments => "payments",
            Self::Schedule => "schedule",
            Self::Attendance => "attendance",
            Self::Marketing => "marketing",
            Self::Reservation => "reservation",
            Self::Reminder => "reminder",
            Self::Order => "order",
            Self::Authentication => "authentication",
            Self::General => "general",
        }
    }

    /// A category as a school's contacts file names it: the five that a school has.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "lessons" => Some(Self::Lessons),
            "payments" => Some(Self::Payments),
            "schedule" => Some(Self::Schedule),
            "attendance" => Some(Self::Attendance),
            "marketing" => Some(Self::Marketing),
            _ => None,
        }
    }
}
