//! `contacts.csv`: who may be messaged, where, and what they wish.

use std::collections::{BTreeSet, HashSet};

use crate::domain::channel::ChannelPreference;
use crate::domain::contact::{Category, Contact, Number};
use crate::domain::local_time::{QuietHours, Zone};
use crate::domain::phone::{PhoneError, PhoneNumber};
use crate::domain::tenant::Settings;

use super::table::{Row, Table, form, word};
use super::{FileError, Report, quoted, trim};

const REQUIRED: [&str; 3] = ["id", "name", "phone"];
const OPTIONAL: [&str; 8] =
    ["whatsapp", "email", "channel", "timezone", "groups", "quiet_hours", "opted_out", "opted_out_categories"];

/// Reads the contacts. An unusable number is no bad row: it is kept, to say why somebody got nothing.
///
/// # Errors
/// [`FileError::MissingColumns`] if the header lacks `id`, `name` or `phone`.
pub fn contacts(file: &str, bytes: &[u8], settings: &Settings, report: &mut Report) -> Result<Vec<Contact>, FileError> {
    let table = Table::read(file, bytes, &REQUIRED, &OPTIONAL)?;
    let mut ids = HashSet::new();
    let mut contacts = Vec::new();
    for mut row in table.rows() {
        let read = contact(&mut row, settings, &ids);
        if let Some(contact) = row.finish(read, report) {
            ids.insert(contact.id.clone());
            contacts.push(contact);
        }
    }
    Ok(contacts)
}

fn contact(row: &mut Row<'_>, settings: &Settings, ids: &HashSet<String>) -> Option<Contact> {
    let id = row.new_id(ids);
    let name = row.required("name");
    let email = row.field("email");
    let channel = row.optional("channel", word(ChannelPreference::parse, "sms, whatsapp, both"));
    let time_zone = row.optional("timezone", Zone::parse);
    let quiet_hours = row.optional("quiet_hours", form(QuietHours::parse, "HH:MM-HH:MM"));
    let opted_out = row.optional("opted_out", word(yes_or_no, "yes, no, true, false, 1, 0"));
    let opted_out_categories = row.optional("opted_out_categories", categories);
    let groups = groups(row);
    if groups.iter().any(|group| group.len() > super::LONGEST_ID) {
        row.reject("groups", super::too_long());
    }
    Some(Contact {
        id: id?,
        name: name?.to_string(),
        phone: number(row.field("phone"), settings),
        whatsapp: number(row.field("whatsapp"), settings),
        email: (!email.is_empty()).then(|| email.to_string()),
        channel,
        time_zone,
        groups,
        quiet_hours,
        opted_out: opted_out.unwrap_or(false),
        opted_out_categories: opted_out_categories.unwrap_or_default(),
        attributes: row.extra().collect(),
    })
}

fn number(text: &str, settings: &Settings) -> Number {
    match PhoneNumber::parse(text, &settings.default_region, settings.strictness()) {
        Ok(number) => Number::Usable(number),
        Err(PhoneError::Empty) => Number::Absent,
        Err(_) => Number::Unusable(text.to_string()),
    }
}

fn groups(row: &Row<'_>) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for group in row.list("groups") {
        super::roster::push_once(&mut groups, group);
    }
    groups
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "1" => Some(true),
        "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

fn categories(text: &str) -> Result<BTreeSet<Category>, String> {
    let known = "lessons, payments, schedule, attendance, marketing";
    let names = text.split([';', '|']).map(trim).filter(|name| !name.is_empty());
    names.map(|name| Category::parse(name).ok_or_else(|| format!("not one of {known}: {}", quoted(name)))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{places, tenant};
    use super::*;

    fn read(text: &str) -> (Vec<Contact>, Report) {
        let mut report = Report::default();
        let contacts = contacts("contacts.csv", text.as_bytes(), &tenant(), &mut report).unwrap();
        (contacts, report)
    }

    #[test]
    fn a_contact_is_read_whole() {
        let (contacts, report) = read(
            "ID;Name;Phone;E-Mail;Whats App;Channel;Time Zone;Groups;Quiet Hours;Opted-Out;opted out categories;Shoe Size;Note\r\n\
             S1;\"Hart; Amelia\";(212) 555-0161; a@x.example ;call me;Both;Europe/London;Choir|Choir| Theory 1;21:30-07:00;YES;\"lessons;Marketing\";38;\r\n",
        );

        let contact = &contacts[0];
        assert_eq!(report, Report::default());
        assert_eq!(contact.name, "Hart; Amelia");
        assert!(matches!(&contact.phone, Number::Usable(number) if number.e164() == "+12125550161"));
        assert_eq!(contact.whatsapp, Number::Unusable("call me".into()));
        assert_eq!(contact.email.as_deref(), Some("a@x.example"));
        assert_eq!(contact.channel, Some(ChannelPreference::Both));
        assert_eq!(contact.time_zone.as_ref().map(Zone::name), Some("Europe/London"));
        assert_eq!(contact.groups, ["Choir", "Theory 1"]);
        assert_eq!(contact.quiet_hours, QuietHours::parse("21:30-07:00"));
        assert!(contact.opted_out);
        assert_eq!(contact.opted_out_categories, BTreeSet::from([Category::Lessons, Category::Marketing]));
        assert_eq!(contact.attributes.iter().collect::<Vec<_>>(), [(&"shoesize".to_string(), &"38".to_string())]);
    }

    #[test]
    fn a_contact_needs_only_an_id_and_a_name() {
        let (contacts, report) = read("id,name,phone\nS1,Amelia\n");

        assert_eq!(report, Report::default());
        assert_eq!((&contacts[0].phone, &contacts[0].whatsapp), (&Number::Absent, &Number::Absent));
        assert!(!contacts[0].opted_out);
    }

    #[test]
    fn every_bad_column_is_reported_in_order() {
        let (contacts, report) = read(
            "opted_out_categories,opted_out,quiet_hours,timezone,channel,phone,name,id\n\
             homework,maybe,9pm-8am,Mars/Olympus_Mons,pigeon,1,,\n\
             ,,,,,,Good,S1\n\
             ,,,,,,Again,S1\n\
             ,,,,fax,,Bad,S2\n\
             ,0,,,,,Good after all,S2\n",
        );

        let names: Vec<&str> = contacts.iter().map(|contact| contact.name.as_str()).collect();
        assert_eq!(names, ["Good", "Good after all"]);
        assert_eq!(
            places(&report),
            [
                "2 id",
                "2 name",
                "2 channel",
                "2 timezone",
                "2 quiet_hours",
                "2 opted_out",
                "2 opted_out_categories",
                "4 id",
                "5 channel"
            ]
        );
        assert_eq!(report.bad[2].reason, "not one of sms, whatsapp, both: 'pigeon'");
        assert_eq!(report.bad[3].reason, "unknown time zone: 'Mars/Olympus_Mons'");
        assert_eq!(report.bad[4].reason, "not HH:MM-HH:MM: '9pm-8am'");
    }
}
