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

/// Reads the contacts. An unusable number is no bad row: it is kept, to say why somebody got nothing. Whoever has the
/// contacts from [`contacts_and_columns`] is told of it.
///
/// # Errors
/// [`FileError::MissingColumns`] if the header lacks `id`, `name` or `phone`.
pub fn contacts(file: &str, bytes: &[u8], settings: &Settings, report: &mut Report) -> Result<Vec<Contact>, FileError> {
    read_all(file, bytes, settings, report, |_, _, _| {}).map(|(contacts, _)| contacts)
}

/// The contacts, and which columns the file has, by
/// [`attribute_key`](crate::domain::contact::attribute_key): of others it says nothing. Numbers that cannot be used are
/// reported, and their rows are used.
///
/// # Errors
/// As [`contacts`].
pub fn contacts_and_columns(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    report: &mut Report,
) -> Result<(Vec<Contact>, BTreeSet<String>), FileError> {
    read_all(file, bytes, settings, report, |row, column, error| {
        row.report(column, format!("{error}: kept as it is, and nothing is sent to it"));
    })
}

/// `tell` hears of every number that cannot be used.
fn read_all(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    report: &mut Report,
    tell: impl Fn(&mut Row<'_>, &str, PhoneError),
) -> Result<(Vec<Contact>, BTreeSet<String>), FileError> {
    let table = Table::read(file, bytes, &REQUIRED, &OPTIONAL)?;
    let mut ids = HashSet::new();
    let mut contacts = Vec::new();
    for mut row in table.rows() {
        let read = contact(&mut row, settings, &ids, &tell);
        if let Some(contact) = row.finish(read, report) {
            ids.insert(contact.id.clone());
            contacts.push(contact);
        }
    }
    Ok((contacts, table.names()))
}

fn contact(
    row: &mut Row<'_>,
    settings: &Settings,
    ids: &HashSet<String>,
    tell: impl Fn(&mut Row<'_>, &str, PhoneError),
) -> Option<Contact> {
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
    let mut number = |column: &str| {
        let text = row.field(column);
        match PhoneNumber::parse(text, &settings.default_region, settings.strictness()) {
            Ok(number) => Number::Usable(number),
            Err(PhoneError::Empty) => Number::Absent,
            Err(error) => {
                tell(row, column, error);
                Number::Unusable(text.to_string())
            }
        }
    };
    let (phone, whatsapp) = (number("phone"), number("whatsapp"));
    Some(Contact {
        id: id?,
        name: name?.to_string(),
        phone,
        whatsapp,
        email: (!email.is_empty()).then(|| email.to_string()),
        channel,
        time_zone,
        groups,
        quiet_hours,
        opted_out: opted_out.unwrap_or(false),
        opted_out_categories: opted_out_categories.unwrap_or_default(),
        attributes: row.extra().collect(),
        former_numbers: BTreeSet::new(),
        others: Vec::new(),
    })
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
    fn a_number_that_cannot_be_used_is_told_where_files_are_imported() {
        let text = "id,name,phone,whatsapp\nS1,Ana,call me,+12125550161\nS2,Ben,,x\n";
        let mut report = Report::default();

        let (told, _) = contacts_and_columns("contacts.csv", text.as_bytes(), &tenant(), &mut report).unwrap();
        let (kept, silent) = read(text);

        assert_eq!((told.len(), &told), (2, &kept));
        assert_eq!((places(&report), report.refused), (vec!["2 phone".to_string(), "3 whatsapp".to_string()], 0));
        assert!(report.bad.iter().all(|bad| !bad.refused && bad.reason.contains("nothing is sent")), "{report:?}");
        assert_eq!(silent, Report::default());
    }

    #[test]
    fn a_contact_needs_only_an_id_and_a_name() {
        let (contacts, report) = read("id,name,phone\nS1,Amelia\n");

        assert_eq!(report, Report::default());
        assert_eq!((&contacts[0].phone, &contacts[0].whatsapp), (&Number::Absent, &Number::Absent));
        assert!(!contacts[0].opted_out);
    }

    #[test]
    fn the_columns_of_the_file_are_told_as_they_are_compared() {
        let text = "ID,Name,Phone,Opted Out,Shoe-Size,\nS1,Ana,,,\n";

        let (_, columns) = contacts_and_columns("contacts.csv", text.as_bytes(), &tenant(), &mut Report::default()).unwrap();

        assert_eq!(columns.iter().map(String::as_str).collect::<Vec<_>>(), ["id", "name", "optedout", "phone", "shoesize"]);
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
        assert_eq!(report.refused, 3);
        assert!(report.bad.iter().all(|bad| bad.refused));
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
