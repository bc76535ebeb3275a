//! What the inputs ask for, message by message: worked out from the plan by the rules of reminders.md, and from what was
//! answered to whoever asked.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::twilio::Entry;
use shared::domain::message::{Facts, Message, Reason};

use super::times::{self, CLOCKS};
use crate::chaos::evidence::{Evidence, Heard};
use crate::chaos::plan::{Plan, What};

/// A message that somebody gets, or would.
#[derive(Debug)]
pub struct Asked {
    pub school: usize,
    /// Of the school's people; nobody of them, if it is of a campaign.
    pub person: Option<usize>,
    pub sort: Sort,
    /// What its row is found by, as of [`identity`].
    pub identity: String,
    /// As Twilio writes it.
    pub to: String,
    /// All of its text, or as much of it as does not depend on when it goes.
    pub begins: String,
    /// Where its recipient lives.
    pub zone: TimeZone,
    /// Not before this.
    pub from: Timestamp,
    /// When it was acknowledged that nobody wants it any more.
    pub until: Option<Timestamp>,
    /// From then on it is of no use.
    pub deadline: Option<Timestamp>,
    /// What takes it back, and when that was first tried.
    pub ended_by: Vec<(Reason, Timestamp)>,
    /// Whether there must be a row of it, rather than may.
    pub is_sure: bool,
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    LessonReminder,
    PaymentReminder,
    ScheduleChange,
    Attendance,
    /// With its category.
    Single(&'static str),
    List,
    Campaign,
}

impl Asked {
    /// Asked of this person's school at once, when `heard` says so.
    fn of(plan: &Plan, school: usize, person: usize, sort: Sort, heard: &Heard, identity: String, begins: String) -> Self {
        let who = &plan.schools[school].people[person];
        Self {
            school,
            person: Some(person),
            sort,
            identity,
            to: if who.whatsapp { format!("whatsapp:{}", who.phone) } else { who.phone.clone() },
            begins,
            zone: zone(plan, school, person),
            from: heard.first,
            until: None,
            deadline: None,
            ended_by: Vec::new(),
            is_sure: true,
        }
    }

    /// Whether `entry` is it, by what it says and to whom.
    pub fn is(&self, entry: &Entry) -> bool {
        entry.to == self.to && entry.body.starts_with(&self.begins)
    }

    pub fn phone(&self) -> &str {
        self.to.strip_prefix("whatsapp:").unwrap_or(&self.to)
    }

    /// Whether the cap limits and counts it.
    pub fn is_capped(&self) -> bool {
        match self.sort {
            Sort::LessonReminder | Sort::PaymentReminder | Sort::Attendance | Sort::Campaign => true,
            Sort::Single(category) => category == "reminder",
            Sort::ScheduleChange | Sort::List => false,
        }
    }

    /// Only codes go by night.
    pub fn goes_at_any_hour(&self) -> bool {
        self.sort == Sort::Single("authentication")
    }

    /// What somebody wrote himself goes over WhatsApp only to whoever wrote there before, and nobody does.
    pub fn is_out_of_window(&self) -> bool {
        matches!(self.sort, Sort::Single(_) | Sort::List) && self.to.starts_with("whatsapp:")
    }
}

/// What a row is told by from all others: what it is about; of what was asked for, the id that was answered.
pub fn identity(message: &Message) -> String {
    let Message { subject, version, .. } = message;
    let contact = message.contact.as_deref().unwrap_or_default();
    match &message.facts {
        Facts::Reminder => {
            let offset = message.offset.map(|offset| offset.to_string()).unwrap_or_default();
            format!("{} {subject} v{version} {contact} {offset}", message.kind)
        }
        Facts::Moved { from, to } => format!("moved {subject} {contact} {from} {to}"),
        Facts::Cancelled { start } => format!("cancelled {subject} {contact} {start}"),
        Facts::Attendance { start, status, .. } => format!("attendance {subject} {contact} {start} {status}"),
        Facts::Direct => message.id.to_string(),
    }
}

/// Everything that is asked for.
pub fn asked(evidence: &Evidence) -> Vec<Asked> {
    let mut asked = Vec::new();
    for (place, happening) in evidence.plan.happenings.iter().enumerate() {
        let Some(heard) = evidence.heard.get(&place) else { continue };
        match &happening.what {
            What::Lesson { school, number, starts, students } => {
                of_lesson(evidence, heard, (*school, *number), *starts, students, &mut asked);
            }
            What::Payment { .. } => asked.extend(of_payment(evidence, heard, &happening.what)),
            What::Single { .. } => asked.extend(of_single(&evidence.plan, heard, &happening.what)),
            What::List { school, number, people } => of_list(&evidence.plan, heard, (*school, *number), people, &mut asked),
            What::Campaign { school, number, rows } => of_campaign(evidence, heard, (*school, *number), *rows, &mut asked),
            // What happens to these stands with them, and nothing else is answered.
            _ => {}
        }
    }
    asked
}

/// What happens to a lesson after it was created.
enum Turn {
    Moved(Timestamp),
    Cancelled,
    Attended(usize),
}

impl Turn {
    /// Why reminders of what was before do not go any more.
    fn reason(&self) -> Option<Reason> {
        match self {
            Turn::Moved(_) => Some(Reason::Moved),
            Turn::Cancelled => Some(Reason::LessonCancelled),
            Turn::Attended(_) => None,
        }
    }
}

/// In their order: each begins after the one before was acknowledged.
fn turns(evidence: &Evidence, lesson: (usize, u32)) -> Vec<(&Heard, Turn)> {
    let turn = |what: &What| match what {
        What::Moved { school, number, starts } if (*school, *number) == lesson => Some(Turn::Moved(*starts)),
        What::Cancelled { school, number } if (*school, *number) == lesson => Some(Turn::Cancelled),
        What::Attendance { school, number, person } if (*school, *number) == lesson => Some(Turn::Attended(*person)),
        _ => None,
    };
    let happenings = evidence.plan.happenings.iter().enumerate();
    happenings.filter_map(|(place, happening)| Some((evidence.heard.get(&place)?, turn(&happening.what)?))).collect()
}

/// A lesson as it stands after so many changes of its start.
struct Version<'a> {
    school: usize,
    token: &'a str,
    students: &'a [usize],
    number: u32,
    start: Timestamp,
}

fn of_lesson(
    evidence: &Evidence,
    heard: &Heard,
    (school, number): (usize, u32),
    starts: Timestamp,
    students: &[usize],
    asked: &mut Vec<Asked>,
) {
    let plan = &evidence.plan;
    let token = plan.schools[school].token('L', number);
    let turns = turns(evidence, (school, number));
    let mut lesson = Version { school, token: &token, students, number: 1, start: starts };
    reminders(plan, heard, &lesson, &turns, asked);
    for (place, (heard, turn)) in turns.iter().enumerate() {
        let start = lesson.start;
        match turn {
            Turn::Moved(to) => {
                for &person in students {
                    let (id, name, zone) = who(plan, school, person);
                    let (old, new) = (times::moment(&zone, start), times::moment(&zone, *to));
                    let begins = format!("{name}: {token} moves from {old} to {new}.");
                    let identity = format!("moved {token} {id} {start} {to}");
                    let change = Asked::of(plan, school, person, Sort::ScheduleChange, heard, identity, begins);
                    asked.push(Asked { deadline: Some(start.max(*to)), ..change });
                }
                lesson = Version { number: lesson.number + 1, start: *to, ..lesson };
                reminders(plan, heard, &lesson, &turns[place + 1..], asked);
            }
            Turn::Cancelled => {
                for &person in students {
                    let (id, _, zone) = who(plan, school, person);
                    let (date, time) = (times::date(&zone, start), times::time(&zone, start));
                    let begins = format!("Important: Your {token} lesson on {date} at {time} has been cancelled.");
                    let identity = format!("cancelled {token} {id} {start}");
                    let change = Asked::of(plan, school, person, Sort::ScheduleChange, heard, identity, begins);
                    asked.push(Asked { deadline: Some(start), ..change });
                }
            }
            Turn::Attended(person) => {
                let (id, name, zone) = who(plan, school, *person);
                let begins = format!("{name}: {token} on {}: Present.", times::date(&zone, start));
                let identity = format!("attendance {token} {id} {start} Present");
                asked.push(Asked::of(plan, school, *person, Sort::Attendance, heard, identity, begins));
            }
        }
    }
}

/// The reminders of a lesson that stands like this since `heard`, until something `later` happens to it.
fn reminders(plan: &Plan, heard: &Heard, lesson: &Version<'_>, later: &[(&Heard, Turn)], asked: &mut Vec<Asked>) {
    let ends = || later.iter().filter_map(|(heard, turn)| Some((turn.reason()?, *heard)));
    let Version { school, token, students, number, start } = *lesson;
    for &person in students {
        let (id, name, zone) = who(plan, school, person);
        for hours in &plan.schools[school].offsets {
            let due = start - SignedDuration::from_hours(*hours);
            if due < heard.first - CLOCKS {
                continue;
            }
            let begins = format!("{name}: {token} at {} ", times::time(&zone, start));
            let identity = format!("lesson_reminder {token} v{number} {id} {hours}h");
            let ended_by: Vec<(Reason, Timestamp)> = ends().map(|(reason, heard)| (reason, heard.first)).collect();
            asked.push(Asked {
                from: due,
                until: ends().next().map(|(_, heard)| heard.at),
                deadline: Some(start),
                is_sure: is_planned(due, heard, &ended_by),
                ended_by,
                ..Asked::of(plan, school, person, Sort::LessonReminder, heard, identity, begins)
            });
        }
    }
}

/// So far ahead is planned at once; what is due later the daily job plans in time.
const WINDOW: SignedDuration = SignedDuration::from_hours(48);

/// Whether a reminder must have been planned that is due then. What is due while it is being planned may be over by then, and
/// what was to be planned later may have been ended before.
fn is_planned(due: Timestamp, heard: &Heard, ended_by: &[(Reason, Timestamp)]) -> bool {
    due > heard.at + CLOCKS && (due < heard.first + WINDOW - CLOCKS || ended_by.is_empty())
}

/// At ten in the morning of the day before. What is due in more than two days the daily job plans in time.
fn of_payment(evidence: &Evidence, heard: &Heard, what: &What) -> Option<Asked> {
    let What::Payment { school, number, person, due } = what else { return None };
    let plan = &evidence.plan;
    let of_school = times::zone(plan.schools[*school].zone);
    let remind = times::instant(&of_school, due.yesterday().unwrap(), 10);
    if remind < heard.first - CLOCKS {
        return None;
    }
    let is_settled = |what: &What| matches!(what, What::Settled { school: at, number: of } if (at, of) == (school, number));
    let settled = plan.happenings.iter().position(|happening| is_settled(&happening.what));
    let settled = settled.and_then(|place| evidence.heard.get(&place));
    let token = plan.schools[*school].token('P', *number);
    let (id, name, _) = who(plan, *school, *person);
    let begins = format!("{name}: $45.00 for {token} is due ");
    let identity = format!("payment_reminder {token} v1 {id} 1d");
    let ended_by: Vec<(Reason, Timestamp)> = settled.map(|heard| (Reason::Paid, heard.first)).into_iter().collect();
    Some(Asked {
        from: remind,
        until: settled.map(|heard| heard.at),
        deadline: Some(times::instant(&of_school, due.tomorrow().unwrap(), 0)),
        is_sure: is_planned(remind, heard, &ended_by),
        ended_by,
        ..Asked::of(plan, *school, *person, Sort::PaymentReminder, heard, identity, begins)
    })
}

/// Whoever asks for what is over by more than this is told so, and gets no id.
const OVER: SignedDuration = SignedDuration::from_mins(5);

fn of_single(plan: &Plan, heard: &Heard, what: &What) -> Option<Asked> {
    let What::Single { school, number, person, category, send_at } = what else { return None };
    let id = heard.answer["id"].as_str();
    let is_over = send_at.is_some_and(|at| at < heard.at - OVER);
    if id.is_none() && is_over {
        return None;
    }
    let begins = format!("Note {}.", plan.schools[*school].token('S', *number));
    let id = id.unwrap_or_default().to_string();
    let single = Asked::of(plan, *school, *person, Sort::Single(category), heard, id, begins);
    Some(Asked { from: send_at.map_or(heard.first, |at| at.max(heard.first)), ..single })
}

/// Of each row an id was answered: nothing is wrong with any.
fn of_list(plan: &Plan, heard: &Heard, (school, number): (usize, u32), people: &[usize], asked: &mut Vec<Asked>) {
    for (place, &person) in people.iter().enumerate() {
        let row = &heard.answer["rows"][place];
        let id = row["id"].as_str().unwrap_or_default().to_string();
        let begins = format!("List {}.", plan.schools[school].token('B', number));
        asked.push(Asked::of(plan, school, person, Sort::List, heard, id, begins));
    }
}

/// Rows that have a message, as the report says; `campaigns` looks at the others.
fn of_campaign(evidence: &Evidence, heard: &Heard, (at, number): (usize, u32), rows: u32, asked: &mut Vec<Asked>) {
    let school = &evidence.plan.schools[at];
    let report = evidence.stored[at].reports.get(&number).map_or(&[][..], Vec::as_slice);
    for row in 0..rows {
        let told = report.iter().find(|told| told["row"] == row);
        let Some(id) = told.and_then(|told| told["messageId"].as_str()) else { continue };
        asked.push(Asked {
            school: at,
            person: None,
            sort: Sort::Campaign,
            identity: id.to_string(),
            to: Plan::guest(at, row),
            begins: format!("{}: sale {}, Guest{row}. Reply STOP", school.name(), school.token('C', number)),
            zone: times::zone(school.zone),
            from: heard.first,
            until: None,
            deadline: None,
            ended_by: Vec::new(),
            is_sure: true,
        });
    }
}

/// The id, the name and the zone of one of a school's people.
fn who(plan: &Plan, school: usize, person: usize) -> (&str, &str, TimeZone) {
    let who = &plan.schools[school].people[person];
    (who.id.as_str(), who.name.as_str(), zone(plan, school, person))
}

fn zone(plan: &Plan, school: usize, person: usize) -> TimeZone {
    let school = &plan.schools[school];
    times::zone(school.people[person].zone.unwrap_or(school.zone))
}
