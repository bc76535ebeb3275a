//! The default texts (S0-42..45) and the values that fill a template.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::Timestamp;

use super::contact::{Contact, attribute_key};
use super::lesson::Lesson;
use super::local_time::{self, Zone};
use super::message::{Content, Facts};
use super::payment::Payment;
use super::reminder::Kind;
use super::template::{MissingVariable, Template};
use super::tenant::Settings;

static LESSON_REMINDER: LazyLock<Template> =
    LazyLock::new(|| known("Hi {name}, reminder: You have {subject} lesson with {teacher} at {time} {day}."));
static PAYMENT_REMINDER: LazyLock<Template> = LazyLock::new(|| {
    known("Hi {name}, payment of {amount} for {course} is due on {date}. Please pay to avoid service interruption.")
});
static MOVED: LazyLock<Template> =
    LazyLock::new(|| known("Important: Your {subject} lesson scheduled for {original_time} has been rescheduled to {new_time}."));
static CANCELLED: LazyLock<Template> =
    LazyLock::new(|| known("Important: Your {subject} lesson on {date} at {time} has been cancelled."));
static TEST: LazyLock<Template> =
    LazyLock::new(|| known("This is a test message from {tenant}. Messages to this number arrive. No answer is needed."));
static ATTENDANCE: LazyLock<Template> = LazyLock::new(|| known("Hi {name}, attendance for {subject} on {date}: {status}."));

fn known(source: &str) -> Template {
    Template::parse(source).expect("the default texts are well formed")
}

/// The lesson or payment that a message is about.
#[derive(Clone, Copy, Debug)]
pub enum Topic<'a> {
    Lesson(&'a Lesson),
    Payment(&'a Payment),
}

/// The text of one message, as it reads at `now`.
///
/// # Errors
/// [`MissingVariable`] when the template asks for what the contact, lesson or payment does not have.
pub fn render(
    settings: &Settings,
    kind: Kind,
    facts: &Facts,
    topic: Topic<'_>,
    contact: &Contact,
    now: Timestamp,
) -> Result<String, MissingVariable> {
    let zone = contact.time_zone.as_ref().unwrap_or(&settings.time_zone);
    let mut text = template(settings, kind, facts).render(|name| value(name, facts, topic, contact, zone, now))?;
    let prompt = settings.answers.prompt();
    if asks(settings, kind) && !text.contains(prompt) {
        text.push(' ');
        text.push_str(prompt);
    }
    Ok(text)
}

/// What fills a text of `kind`, whoever gets it; none for what has no text of its own. As of `value`.
pub fn variables(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::LessonReminder => &["name", "subject", "teacher", "course", "date", "day", "time"],
        Kind::PaymentReminder => &["name", "amount", "course", "date", "day"],
        Kind::ScheduleChange => &["name", "subject", "teacher", "course", "date", "day", "time", "original_time", "new_time"],
        Kind::Attendance => &["name", "subject", "teacher", "course", "date", "day", "time", "status"],
        Kind::Message | Kind::Test | Kind::Inbound => &[],
    }
}

/// What other kinds have and no contact can add: a column of that name is never looked at.
const OF_OTHERS: [&str; 4] = ["time", "status", "original_time", "new_time"];

/// Why `variable` would never be filled in a text of `kind`, if so. Any other name may be a column of the contacts',
/// but hardly one that is a slip of the pen away from what the kind has.
pub fn never_filled(kind: Kind, variable: &str) -> Option<String> {
    let known = variables(kind);
    if known.contains(&variable) {
        return None;
    }
    let all = || known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
    if OF_OTHERS.contains(&variable) {
        return Some(format!("messages of this type have no {{{variable}}}; they have {}", all()));
    }
    let meant = known.iter().find(|name| is_slip(variable, name))?;
    Some(format!(
        "there is no {{{variable}}}: did you mean {{{meant}}}? This type has {}; a column of your contacts that is really \
         called so takes a default: {{{variable}|…}}",
        all()
    ))
}

/// Whether whoever wrote `written` can have meant `name`: but for case and underscores the same, or one slip away in
/// four letters and more, two in seven and more.
fn is_slip(written: &str, name: &str) -> bool {
    let (written, name) = (attribute_key(written), attribute_key(name));
    let slips = match name.chars().count() {
        0..4 => 0,
        4..7 => 1,
        _ => 2,
    };
    distance(&written, &name) <= slips
}

/// How many letters have to be added, left out, changed, or swapped with the next one, to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let mut least = (row[j] + usize::from(letter != other)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *letter == b[j - 1] && a[i - 1] == *other {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// Whether a message of `kind` asks its recipient to confirm, or for another time.
pub fn asks(settings: &Settings, kind: Kind) -> bool {
    kind == Kind::LessonReminder && settings.types.lesson_reminder.asks_for_answer
}

/// The approved template of Twilio's that says the same over WhatsApp, filled; `None` if the tenant named none.
///
/// # Errors
/// As [`render`].
pub fn content(
    settings: &Settings,
    kind: Kind,
    facts: &Facts,
    topic: Topic<'_>,
    contact: &Contact,
    now: Timestamp,
) -> Result<Option<Content>, MissingVariable> {
    let Some((sid, names)) =
        settings.kind(kind).and_then(|settings| Some((settings.content_sid.as_ref()?, &settings.content_variables)))
    else {
        return Ok(None);
    };
    let zone = contact.time_zone.as_ref().unwrap_or(&settings.time_zone);
    let filled = names.iter().zip(1..).map(|(name, at)| {
        let value = value(name, facts, topic, contact, zone, now).filter(|value| !value.is_empty());
        Ok((at.to_string(), value.ok_or_else(|| MissingVariable(name.clone()))?.into_owned()))
    });
    Ok(Some(Content { sid: sid.clone(), variables: filled.collect::<Result<_, _>>()? }))
}

/// The text of a type of message, to be filled with what somebody asks for.
pub fn of_type(settings: &Settings, kind: Kind) -> &Template {
    template(settings, kind, &Facts::Direct)
}

/// The tenant's own text if it has one; a cancellation always keeps the default (reminders.md §4).
fn template<'a>(settings: &'a Settings, kind: Kind, facts: &Facts) -> &'a Template {
    let default = match (kind, facts) {
        (_, Facts::Cancelled { .. }) => return &CANCELLED,
        (Kind::LessonReminder, _) => &LESSON_REMINDER,
        (Kind::PaymentReminder, _) => &PAYMENT_REMINDER,
        (Kind::ScheduleChange, _) => &MOVED,
        (Kind::Attendance, _) => &ATTENDANCE,
        (Kind::Message | Kind::Test | Kind::Inbound, _) => &TEST,
    };
    settings.kind(kind).and_then(|settings| settings.template.as_ref()).unwrap_or(default)
}

fn value<'a>(
    name: &str,
    facts: &'a Facts,
    topic: Topic<'a>,
    contact: &'a Contact,
    zone: &Zone,
    now: Timestamp,
) -> Option<Cow<'a, str>> {
    let start = start(facts, topic);
    let due_date = match topic {
        Topic::Payment(payment) => Some(payment.due_date),
        Topic::Lesson(_) => None,
    };
    let day = due_date.or_else(|| start.map(|start| zone.wall(start).date()));
    let text = |text: String| Some(Cow::Owned(text));
    match (name, topic) {
        ("name", _) => Some(Cow::Borrowed(&contact.name)),
        ("subject", Topic::Lesson(lesson)) => Some(Cow::Borrowed(&lesson.subject)),
        ("teacher", Topic::Lesson(lesson)) => Some(Cow::Borrowed(&lesson.teacher)),
        ("course", Topic::Lesson(lesson)) => lesson.course.as_deref().map(Cow::Borrowed),
        ("course", Topic::Payment(payment)) => payment.course.as_deref().map(Cow::Borrowed),
        ("amount", Topic::Payment(payment)) => text(payment.amount.to_string()),
        ("time", _) => start.map(|start| Cow::Owned(local_time::time_text(zone.wall(start)))),
        ("date", _) => day.map(|day| Cow::Owned(local_time::date_text(day))),
        ("day", _) => day.map(|day| Cow::Owned(local_time::day_text(day, zone.wall(now).date()))),
        ("status", _) => match facts {
            Facts::Attendance { status, .. } => Some(Cow::Borrowed(status)),
            Facts::Reminder | Facts::Moved { .. } | Facts::Cancelled { .. } | Facts::Direct => None,
        },
        ("original_time", _) => match facts {
            Facts::Moved { from, .. } => text(local_time::moment_text(zone.wall(*from))),
            Facts::Reminder | Facts::Cancelled { .. } | Facts::Attendance { .. } | Facts::Direct => None,
        },
        ("new_time", _) => match facts {
            Facts::Moved { to, .. } => text(local_time::moment_text(zone.wall(*to))),
            Facts::Reminder | Facts::Cancelled { .. } | Facts::Attendance { .. } | Facts::Direct => None,
        },
        (other, _) => contact.attributes.get(&attribute_key(other)).map(|value| Cow::Borrowed(value.as_str())),
    }
}

fn start(facts: &Facts, topic: Topic<'_>) -> Option<Timestamp> {
    match (facts, topic) {
        (Facts::Moved { to, .. }, _) => Some(*to),
        (Facts::Cancelled { start } | Facts::Attendance { start, .. }, _) => Some(*start),
        (Facts::Reminder | Facts::Direct, Topic::Lesson(lesson)) => Some(lesson.starts_at),
        (Facts::Reminder | Facts::Direct, Topic::Payment(_)) => None,
    }
}
