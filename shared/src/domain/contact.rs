//! A contact: the person (student, parent, member, guest), their numbers and their wishes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::channel::{Channel, ChannelPreference};
use super::consent::normalised;
use super::local_time::{QuietHours, Zone};
use super::phone::PhoneNumber;
use super::school_event::is_id;

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
    /// Keyed hashes of numbers that were this contact's before: what went there is found by them when the
    /// contact is to be forgotten. The store keeps them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub former_numbers: BTreeSet<String>,
    /// Of a bare number that reaches several: the quiet hours and the zone of each but the first.
    #[serde(skip)]
    pub others: Vec<(Option<QuietHours>, Option<Zone>)>,
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

    /// In E.164, or as it was given if it is none.
    pub fn text(&self) -> Option<&str> {
        match self {
            Number::Usable(number) => Some(number.e164()),
            Number::Unusable(given) => Some(given),
            Number::Absent => None,
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
        for (at, wishes) in known.into_iter().enumerate() {
            contact.opted_out |= wishes.opted_out;
            contact.opted_out_categories.extend(&wishes.opted_out_categories);
            let hours = (wishes.quiet_hours, wishes.time_zone.clone());
            if at == 0 {
                (contact.quiet_hours, contact.time_zone) = hours;
            } else if !contact.others.contains(&hours) {
                contact.others.push(hours);
            }
        }
        contact
    }

    /// The quiet hours that hold, each with the zone that they are in: its own, and at a bare number those of everybody
    /// whom it reaches.
    pub fn hours(&self) -> impl Iterator<Item = (Option<QuietHours>, Option<&Zone>)> {
        let others = self.others.iter().map(|(quiet_hours, zone)| (*quiet_hours, zone.as_ref()));
        std::iter::once((self.quiet_hours, self.time_zone.as_ref())).chain(others)
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
            former_numbers: BTreeSet::new(),
            others: Vec::new(),
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

    /// Every number that reaches this contact, each once.
    pub fn numbers(&self) -> BTreeSet<&PhoneNumber> {
        [&self.phone, &self.whatsapp].into_iter().filter_map(Number::usable).collect()
    }

    /// `Amelia`, of `Amelia Hart` and of `Hart, Amelia`.
    pub fn first_name(&self) -> &str {
        let given = self.name.split_once(',').map(|(_, given)| given.trim()).filter(|given| !given.is_empty());
        given.unwrap_or(&self.name).split_whitespace().next().unwrap_or_default()
    }
}

/// Whether a text can become the id of a contact or the name of a group: both stand in keys and in paths.
pub fn is_path_name(text: &str) -> bool {
    is_id(text) && text.trim() == text && !text.chars().any(|c| c == '/' || c.is_control()) && !matches!(text, "." | "..")
}

/// What somebody types to find a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// In lower case.
    text: String,
    /// As names are compared.
    words: Vec<String>,
    /// The end of a number, if it may be one.
    digits: Option<String>,
}

/// Fewer digits at the end of a number say nothing.
const FEWEST_DIGITS: usize = 4;

impl Search {
    /// `None` for nothing.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return None;
        }
        let is_number = text.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-.()/".contains(c));
        let digits = Some(digits(&text)).filter(|digits| is_number && digits.len() >= FEWEST_DIGITS);
        let words = normalised(&text).split_whitespace().map(str::to_string).collect();
        Some(Self { text, words, digits })
    }

    /// Whether every word is in the contact's name, without case and accents; or the text in its id or e-mail address;
    /// or its digits end one of its numbers.
    pub fn finds(&self, contact: &Contact) -> bool {
        let name = normalised(&contact.name);
        let is_in = |text: &str| text.to_lowercase().contains(&self.text);
        let ends = |number: &Number| match (number.text(), &self.digits) {
            (Some(text), Some(end)) => digits(text).ends_with(end.as_str()),
            _ => false,
        };
        (!self.words.is_empty() && self.words.iter().all(|word| name.contains(word.as_str())))
            || is_in(&contact.id)
            || contact.email.as_deref().is_some_and(is_in)
            || ends(&contact.phone)
            || ends(&contact.whatsapp)
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
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

    /// A category by its word, in any case. A school's files name the first five; what is exported may name any.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.to_ascii_lowercase();
        Self::ALL.into_iter().find(|category| category.word() == word)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn somebody(name: &str) -> Contact {
        let number = PhoneNumber::from_e164("+15550100201").unwrap();
        Contact {
            id: "S-7".into(),
            name: name.into(),
            email: Some("Zoe@Families.example".into()),
            whatsapp: Number::Unusable("office 4711".into()),
            ..Contact::unknown(number)
        }
    }

    fn finds(text: &str, contact: &Contact) -> bool {
        Search::of(text).unwrap().finds(contact)
    }

    #[test]
    fn a_contact_is_found_by_whatever_people_type() {
        let zoe = somebody("Zoë O’Hára-Łuk");
        for text in
            ["zoe", "ZOË", "ohara zo", "luk", "s-7", "@families", "0201", "010-0201", "(555) 010-0201", "+1 555 010 0201", "4711"]
        {
            assert!(finds(text, &zoe), "{text}");
        }
        for text in ["zoes", "anna", "zoe anna", "201", "0202", "…"] {
            assert!(!finds(text, &zoe), "{text}");
        }
        assert_eq!(Search::of(" "), None);
    }

    #[test]
    fn a_first_name_comes_first_or_after_the_comma() {
        for (name, first) in
            [("Amelia Hart", "Amelia"), ("Hart, Amelia Rose", "Amelia"), ("Hart,", "Hart,"), ("Cher", "Cher"), ("", "")]
        {
            assert_eq!(somebody(name).first_name(), first, "{name}");
        }
    }

    #[test]
    fn what_stands_in_paths_is_no_path_of_its_own() {
        for good in ["S01", "Theory 1", "学生", "a#b", "c_0f"] {
            assert!(is_path_name(good), "{good}");
        }
        for bad in ["", " S01", "a/b", ".", "..", "a\nb", &"x".repeat(501)] {
            assert!(!is_path_name(bad), "{bad}");
        }
    }

    #[test]
    fn every_category_is_read_by_its_word() {
        assert!(Category::ALL.into_iter().all(|category| Category::parse(&category.word().to_uppercase()) == Some(category)));
        assert_eq!(Category::parse("homework"), None);
    }
}
