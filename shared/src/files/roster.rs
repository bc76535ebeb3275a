//! Who the other files may mean: contacts by id and e-mail, groups by name.

use std::collections::{HashMap, HashSet};

use crate::domain::contact::Contact;
use crate::domain::lesson::Students;

/// The contacts of a school, looked up by whatever a file calls them.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    ids: HashSet<String>,
    groups: HashSet<String>,
    /// By lower-case address; siblings share their parents' one.
    by_email: HashMap<String, Vec<String>>,
}

/// What a name in a list of students means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attendee {
    Contact,
    Group,
    Unknown,
}

impl Roster {
    pub fn new(contacts: &[Contact]) -> Self {
        let mut roster = Self::default();
        for contact in contacts {
            roster.ids.insert(contact.id.clone());
            roster.groups.extend(contact.groups.iter().cloned());
            if let Some(email) = &contact.email {
                roster.by_email.entry(email.to_lowercase()).or_default().push(contact.id.clone());
            }
        }
        roster
    }

    /// Those of whom nothing else is known: contacts by id, groups by name.
    pub fn of(contacts: impl IntoIterator<Item = String>, groups: impl IntoIterator<Item = String>) -> Self {
        Self { ids: contacts.into_iter().collect(), groups: groups.into_iter().collect(), by_email: HashMap::new() }
    }

    /// Contact ids come before group names; both are compared exactly.
    pub fn resolve(&self, name: &str) -> Attendee {
        if self.is_contact(name) {
            Attendee::Contact
        } else if self.groups.contains(name) {
            Attendee::Group
        } else {
            Attendee::Unknown
        }
    }

    pub fn is_contact(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub fn is_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// The ids of all contacts with this address, in the order of the file.
    pub fn with_email(&self, address: &str) -> &[String] {
        self.by_email.get(&address.to_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Sorts names into contacts and groups, each once, and returns those that are neither.
    pub fn students<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> (Students, Vec<&'n str>) {
        let mut students = Students::default();
        let mut unknown = Vec::new();
        for name in names {
            match self.resolve(name) {
                Attendee::Contact => push_once(&mut students.contacts, name),
                Attendee::Group => push_once(&mut students.groups, name),
                Attendee::Unknown if unknown.contains(&name) => {}
                Attendee::Unknown => unknown.push(name),
            }
        }
        (students, unknown)
    }
}

pub(super) fn push_once(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_string());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::tenant;
    use super::super::{Report, contacts};
    use super::*;

    #[test]
    fn names_mean_contacts_or_groups_and_addresses_may_be_shared() {
        let csv = "id,name,phone,email,groups\nA,Ana,,Home@x.example,Choir\nB,Ben,,home@X.example,\n";
        let roster = Roster::new(&contacts("contacts.csv", csv.as_bytes(), &tenant(), &mut Report::default()).unwrap());

        let (students, unknown) = roster.students(["B", "Choir", "B", "choir", "Z", "Z"]);

        assert_eq!(students, Students { contacts: vec!["B".into()], groups: vec!["Choir".into()] });
        assert_eq!(unknown, ["choir", "Z"]);
        assert_eq!(roster.with_email("HOME@x.example"), ["A", "B"]);
        assert!(roster.with_email("other@x.example").is_empty());
    }
}
