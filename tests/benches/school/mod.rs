//! Contacts and lessons for the benches that plan reminders.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use shared::domain::contact::{Contact, Number};
use shared::domain::lesson::{Lesson, LessonStatus, Students};
use shared::domain::phone::PhoneNumber;
use shared::domain::tenant::Settings;

/// Contacts by their numbers, each with a phone.
pub fn contacts(settings: &Settings, numbers: Range<usize>) -> Vec<Contact> {
    let contact = |number: usize| Contact {
        id: id(number),
        name: format!("Student {number}"),
        phone: Number::Usable(
            PhoneNumber::parse(&format!("+1555{:07}", 2_000_000 + number), &settings.default_region, settings.strictness())
                .unwrap(),
        ),
        whatsapp: Number::Absent,
        email: None,
        channel: None,
        time_zone: None,
        groups: Vec::new(),
        quiet_hours: None,
        opted_out: false,
        opted_out_categories: Default::default(),
        attributes: BTreeMap::new(),
        former_numbers: Default::default(),
        others: Vec::new(),
    };
    numbers.map(contact).collect()
}

/// A lesson of these contacts.
pub fn lesson(settings: &Settings, number: usize, students: Range<usize>, starts_at: Timestamp) -> Lesson {
    Lesson {
        id: format!("L{number:05}"),
        subject: "Piano".into(),
        teacher: "Ms. Rivera".into(),
        starts_at,
        time_zone: settings.time_zone.clone(),
        students: Students { contacts: students.map(id).collect(), groups: Vec::new() },
        course: None,
        duration_minutes: None,
        status: LessonStatus::Scheduled,
        version: 1,
        changed_at: Timestamp::UNIX_EPOCH,
    }
}

fn id(number: usize) -> String {
    format!("C{number:05}")
}
