//! What happens in one run, drawn from a seed: who there is, what people do and when, and what goes wrong meanwhile.
//! Data alone: `drive` lets it happen, `judge` compares what came of it.

use fastrand::Rng;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use local::aws::Shares;
use local::twilio::{Fault, Rule};
use serde_json::{Value, json};

/// One run. The same plan is the same run, to the last request.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub start: Timestamp,
    /// From here on nothing goes wrong any more, and nothing new is asked for.
    pub calm: Timestamp,
    pub schools: Vec<School>,
    /// By the instant at which each begins.
    pub happenings: Vec<Happening>,
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct School {
    /// `t0`: also what all its tokens begin with, in capitals.
    pub id: String,
    pub zone: &'static str,
    pub region: &'static str,
    /// The number that it texts from; over WhatsApp the same.
    pub sender: String,
    /// In micro-units, a month.
    pub limit: Option<i64>,
    pub cap: Option<u32>,
    /// Of its lesson reminders, the longest first, in hours.
    pub offsets: Vec<i64>,
    pub people: Vec<Person>,
}

/// A contact.
#[derive(Clone, Debug)]
pub struct Person {
    /// `p03`
    pub id: String,
    pub name: String,
    /// In E.164. Two people of a school may share one, as may people of two schools.
    pub phone: String,
    /// Whether they want WhatsApp instead of SMS.
    pub whatsapp: bool,
    /// Where they live, if not where the school is.
    pub zone: Option<&'static str>,
}

/// Something that begins at an instant.
#[derive(Clone, Debug)]
pub struct Happening {
    pub at: Timestamp,
    pub what: What,
}

/// What happens. `school` and `person` are places in the plan's lists; `number` makes the token.
#[derive(Clone, Debug)]
pub enum What {
    // What people do. Each is tried until it is acknowledged, as real callers do.
    /// The event `lesson.created`.
    Lesson { school: usize, number: u32, starts: Timestamp, students: Vec<usize> },
    /// `lesson.moved`, of a lesson that was created before.
    Moved { school: usize, number: u32, starts: Timestamp },
    /// `lesson.cancelled`
    Cancelled { school: usize, number: u32 },
    /// `PUT /payments/{id}`
    Payment { school: usize, number: u32, person: usize, due: Date },
    /// `payment.settled`
    Settled { school: usize, number: u32 },
    /// `attendance.recorded`, of a lesson that was created before.
    Attendance { school: usize, number: u32, person: usize },
    /// `POST /messages`
    Single { school: usize, number: u32, person: usize, category: &'static str, send_at: Option<Timestamp> },
    /// `POST /messages/bulk`
    List { school: usize, number: u32, people: Vec<usize> },
    /// `POST /campaigns`; its rows are numbers that are nobody's: `Plan::guest`.
    Campaign { school: usize, number: u32, rows: u32 },
    /// A text that comes in over SMS.
    Text { school: usize, number: u32, person: usize, says: Says },
    /// Twilio has a new token for the account at once; the school stores it so much later.
    Rotated { school: usize, stored_after: SignedDuration },
    /// Twilio refuses the account's token for so long.
    Revoked { school: usize, lasting: SignedDuration },

    // What goes wrong.
    /// Twilio follows this script for so long.
    Twilio { rules: Vec<Rule>, lasting: SignedDuration },
    /// Twilio answers nothing that is asked of its lists for so long.
    Silent { lasting: SignedDuration },
    /// The webhook fails for so long.
    Deaf { lasting: SignedDuration },
    /// AWS does this to all processes for so long.
    Aws { shares: Shares, lasting: SignedDuration },
    /// Of a thousand invocations so many are killed, each at an await point of its own.
    Kills { permille: u32, lasting: SignedDuration },
    /// Of a thousand events, queue messages, ticks, daily jobs and API calls so many come twice, the second at once or later.
    Twice { permille: u32, lasting: SignedDuration },
    /// No function runs at all for so long.
    Outage { lasting: SignedDuration },
    /// The clocks of processes are off from Twilio's, by this at most, for so long.
    Skew { by: SignedDuration, lasting: SignedDuration },
}

/// What somebody texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Stop,
    Start,
    Words,
}

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
struct Size {
    people: u32,
    lessons: u32,
    singles: u32,
    lists: u32,
    campaign: u32,
    texts: u32,
    faults: u32,
}

/// No run goes on for longer after nothing goes wrong any more, and nothing is planned so far ahead.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 6);
/// So far are clocks off at most.
pub const MOST_SKEW: SignedDuration = SignedDuration::from_secs(45);

/// On which a run begins: before clocks change somewhere, before a month or the year ends, and days of no note.
const DAYS: [&str; 8] =
    ["2026-03-07", "2026-03-28", "2026-10-24", "2026-10-31", "2026-05-12", "2026-06-30", "2026-08-04", "2026-12-31"];
/// How long things go wrong.
const STORM: SignedDuration = SignedDuration::from_hours(26);
const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Prices, in micro-units: of a segment, and of a WhatsApp message.
pub const SMS: i64 = 7_900;
pub const WHATSAPP: i64 = 5_000;
/// A message fails after so many attempts that Twilio did not process.
pub const MOST_ATTEMPTS: u32 = 8;

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let size = match seed % 10 {
            0 => Size { people: 60, lessons: 70, singles: 60, lists: 4, campaign: 400, texts: 40, faults: 60 },
            1..=5 => Size { people: 12, lessons: 16, singles: 16, lists: 1, campaign: 40, texts: 12, faults: 40 },
            _ => Size { people: 6, lessons: 7, singles: 8, lists: 1, campaign: 12, texts: 6, faults: 30 },
        };
        let day: Date = pick(&mut rng, &DAYS).parse().unwrap();
        let start = day.at(rng.i8(12..20), rng.i8(0..60), 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let calm = start + STORM;
        let schools = schools(&mut rng, size);
        let mut happenings = Vec::new();
        for (at, school) in schools.iter().enumerate() {
            of_school(&mut rng, size, school, at, start, &mut happenings);
        }
        // Half of it while something is done or due, so that it strikes: nights are long and quiet.
        let busy: Vec<Timestamp> = happenings.iter().map(|happening| happening.what.busy(happening.at, &schools)).collect();
        for _ in 0..size.faults {
            let at = match rng.bool() {
                true => start + between(&mut rng, SECOND, STORM - MINUTE * 20),
                false => (busy[rng.usize(0..busy.len())] - between(&mut rng, SECOND, MINUTE * 10)).max(start + SECOND),
            };
            if at < calm {
                happenings.push(Happening { at, what: fault(&mut rng, schools.len()) });
            }
        }
        happenings.sort_by_key(|happening| happening.at);
        Self { seed, start, calm, schools, happenings }
    }

    /// The same run without some of what happens.
    pub fn without(&self, left_out: impl Fn(usize) -> bool) -> Self {
        let kept = self.happenings.iter().enumerate().filter(|(at, _)| !left_out(*at));
        Self { happenings: kept.map(|(_, happening)| happening.clone()).collect(), ..self.clone() }
    }

    /// The number of a campaign's row.
    pub fn guest(school: usize, row: u32) -> String {
        format!("+1646{:07}", 5_000_000 + school as u32 * 100_000 + row)
    }
}

impl School {
    /// What nobody else's message holds: `T0L12`.
    pub fn token(&self, letter: char, number: u32) -> String {
        format!("{}{letter}{number}", self.id.to_uppercase())
    }

    pub fn name(&self) -> String {
        format!("School {}", self.id)
    }

    pub fn settings(&self) -> Value {
        let limit = self.limit.map(|limit| format!("{}.{:06}", limit / 1_000_000, limit % 1_000_000));
        json!({
            "name": self.name(),
            "timeZone": self.zone,
            "defaultRegion": self.region,
            "senders": { "sms": self.sender, "whatsapp": format!("whatsapp:{}", self.sender) },
            "budget": { "monthlyLimit": limit, "currency": "USD", "authenticationReserve": "0" },
            "quietHours": { "from": "21:00", "to": "08:00" },
            "frequencyCap": self.cap,
            "types": {
                "lesson_reminder": {
                    "offsets": self.offsets.iter().map(|hours| format!("{hours}h")).collect::<Vec<_>>(),
                    "template": "{name}: {subject} at {time} {day}.",
                },
                "payment_reminder": { "offsets": ["1d"], "template": "{name}: {amount} for {course} is due {day}." },
                "schedule_change": { "template": "{name}: {subject} moves from {original_time} to {new_time}." },
                "attendance": { "template": "{name}: {subject} on {date}: {status}." },
            },
            "prices": { "sms": "0.0079", "whatsapp": "0.0050" },
            "pacing": { "sms": 20 },
            "maxAttempts": MOST_ATTEMPTS,
        })
    }
}

impl What {
    /// Whether it is something that goes wrong, and nothing that anybody asks for.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Lesson { .. } | Self::Moved { .. } | Self::Cancelled { .. } | Self::Payment { .. } => false,
            Self::Settled { .. } | Self::Attendance { .. } | Self::Single { .. } | Self::List { .. } => false,
            Self::Campaign { .. } | Self::Text { .. } => false,
            Self::Rotated { .. } | Self::Revoked { .. } | Self::Twilio { .. } | Self::Silent { .. } | Self::Aws { .. } => true,
            Self::Kills { .. } | Self::Twice { .. } | Self::Outage { .. } | Self::Skew { .. } | Self::Deaf { .. } => true,
        }
    }

    /// When something goes because of it, which began at `at`.
    fn busy(&self, at: Timestamp, schools: &[School]) -> Timestamp {
        match self {
            Self::Lesson { school, starts, .. } | Self::Moved { school, starts, .. } => {
                *starts - SignedDuration::from_hours(schools[*school].offsets[0])
            }
            Self::Single { send_at, .. } => send_at.unwrap_or(at),
            _ => at,
        }
    }

    /// How long it goes on by itself, if it does.
    pub fn lasting(&self) -> Option<SignedDuration> {
        match self {
            Self::Revoked { lasting, .. } | Self::Twilio { lasting, .. } | Self::Silent { lasting } => Some(*lasting),
            Self::Aws { lasting, .. } | Self::Kills { lasting, .. } | Self::Twice { lasting, .. } => Some(*lasting),
            Self::Outage { lasting } | Self::Deaf { lasting } | Self::Skew { lasting, .. } => Some(*lasting),
            _ => None,
        }
    }

    /// What it happens to, if one thing after another happens to that.
    pub fn turn(&self, plan: &Plan) -> Option<String> {
        match self {
            Self::Lesson { school, number, .. } | Self::Moved { school, number, .. } | Self::Cancelled { school, number } => {
                Some(format!("{school} lesson {number}"))
            }
            Self::Attendance { school, number, .. } => Some(format!("{school} lesson {number}")),
            Self::Payment { school, number, .. } | Self::Settled { school, number } => Some(format!("{school} payment {number}")),
            Self::Text { school, person, .. } => Some(format!("{school} phone {}", plan.schools[*school].people[*person].phone)),
            Self::Rotated { school, .. } => Some(format!("{school} account")),
            _ => None,
        }
    }
}

fn schools(rng: &mut Rng, size: Size) -> Vec<School> {
    const PLACES: [(&str, &str); 6] = [
        ("America/New_York", "US"),
        ("America/Los_Angeles", "US"),
        ("Europe/London", "GB"),
        ("America/Chicago", "US"),
        ("Europe/London", "GB"),
        ("America/Halifax", "CA"),
    ];
    const ZONES: [&str; 5] = ["America/New_York", "America/Denver", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe"];
    (0..3)
        .map(|at| {
            let (zone, region) = PLACES[rng.usize(0..PLACES.len())];
            let people = (0..size.people)
                .map(|number| {
                    // Some have two children at the school, and some a child at each school.
                    let shared = if number > 0 && rng.u32(0..12) == 0 { number - 1 } else { number };
                    let phone = match region {
                        "GB" => format!("+4477009{:05}", shared),
                        _ => format!("+1212555{:04}", shared + if rng.bool() { 0 } else { 1_000 * (at + 1) }),
                    };
                    Person {
                        id: format!("p{number:02}"),
                        name: format!("Ada{number}"),
                        phone,
                        whatsapp: rng.u32(0..4) == 0,
                        zone: (rng.u32(0..8) == 0).then(|| ZONES[rng.usize(0..ZONES.len())]),
                    }
                })
                .collect();
            let offsets = match rng.u32(0..4) {
                0 => vec![24, 1],
                1 => vec![24],
                2 => vec![3],
                _ => vec![8, 2],
            };
            School {
                id: format!("t{at}"),
                zone,
                region,
                sender: format!("+1500555{:04}", 1_000 + at),
                limit: match rng.u32(0..3) {
                    0 => None,
                    // For a part of what it wants.
                    1 => Some(i64::from(size.people * 2 + size.campaign / 3) * SMS),
                    _ => Some(100_000_000),
                },
                cap: (rng.u32(0..3) == 0).then(|| rng.u32(2..5)),
                offsets,
                people,
            }
        })
        .collect()
}

/// What the people of a school do.
fn of_school(rng: &mut Rng, size: Size, school: &School, at: usize, start: Timestamp, into: &mut Vec<Happening>) {
    let people = school.people.len();
    let mut push = |at: Timestamp, what: What| into.push(Happening { at, what });
    let early = |rng: &mut Rng| start + between(rng, SECOND, MINUTE * 90);
    let during = |rng: &mut Rng| start + between(rng, MINUTE, STORM - MINUTE * 30);
    for number in 0..size.lessons {
        let created = early(rng);
        // Many begin at the full hour: much is due at one instant.
        let step = if rng.bool() { 3600 } else { 60 };
        let starts = rounded(start + between(rng, MINUTE * 160, STORM + MINUTE * 600), step);
        let students = some(rng, people, 1 + people / 3);
        push(created, What::Lesson { school: at, number, starts, students: students.clone() });
        let change = created + between(rng, MINUTE * 20, STORM - MINUTE * 150);
        match rng.u32(0..10) {
            0 | 1 => {
                let starts = rounded(starts + between(rng, MINUTE * 65, MINUTE * 300), step);
                push(change, What::Moved { school: at, number, starts });
                if rng.bool() {
                    let again = rounded(starts + between(rng, MINUTE * 65, MINUTE * 300), step);
                    push(change + between(rng, MINUTE * 3, MINUTE * 90), What::Moved { school: at, number, starts: again });
                }
            }
            2 => push(change, What::Cancelled { school: at, number }),
            3 => push(change, What::Attendance { school: at, number, person: students[0] }),
            _ => {}
        }
    }
    for number in 0..size.lessons / 2 {
        let raised = early(rng);
        let due = start.to_zoned(TimeZone::UTC).date() + rng.i32(1..4).days();
        push(raised, What::Payment { school: at, number, person: rng.usize(0..people), due });
        if rng.u32(0..4) == 0 {
            push(raised + between(rng, MINUTE * 30, STORM - MINUTE * 120), What::Settled { school: at, number });
        }
    }
    for number in 0..size.singles {
        let asked = during(rng);
        let category = ["general", "general", "reminder", "authentication"][rng.usize(0..4)];
        let send_at = (rng.u32(0..4) == 0).then(|| asked + between(rng, MINUTE, MINUTE * 200));
        push(asked, What::Single { school: at, number, person: rng.usize(0..people), category, send_at });
    }
    for number in 0..size.lists {
        push(during(rng), What::List { school: at, number, people: some(rng, people, people) });
    }
    if at == 2 {
        push(during(rng), What::Campaign { school: at, number: 0, rows: size.campaign });
    }
    for number in 0..size.texts {
        let says = [Says::Stop, Says::Start, Says::Start, Says::Words, Says::Words][rng.usize(0..5)];
        push(during(rng), What::Text { school: at, number, person: rng.usize(0..people), says });
    }
}

/// One thing that goes wrong.
fn fault(rng: &mut Rng, schools: usize) -> What {
    let permille = rng.u32(10..200);
    match rng.u32(0..18) {
        0..=5 => What::Twilio { rules: script(rng), lasting: between(rng, MINUTE * 30, MINUTE * 420) },
        6..=9 => What::Aws { shares: shares(rng), lasting: between(rng, MINUTE * 10, MINUTE * 240) },
        10 | 11 => What::Kills { permille: permille * 2, lasting: between(rng, MINUTE * 10, MINUTE * 240) },
        12 => What::Twice { permille: permille * 3, lasting: between(rng, MINUTE * 30, MINUTE * 420) },
        13 => What::Silent { lasting: between(rng, MINUTE, MINUTE * 30) },
        14 => What::Outage { lasting: between(rng, MINUTE, MINUTE * 45) },
        15 => What::Deaf { lasting: between(rng, MINUTE, MINUTE * 150) },
        16 => {
            let by = SignedDuration::from_millis(rng.i64(1_000..MOST_SKEW.as_millis() as i64));
            What::Skew { by, lasting: between(rng, MINUTE * 10, MINUTE * 420) }
        }
        _ if rng.bool() => What::Rotated { school: rng.usize(0..schools), stored_after: between(rng, SECOND * 5, MINUTE * 12) },
        _ => What::Revoked { school: rng.usize(0..schools), lasting: between(rng, MINUTE, MINUTE * 15) },
    }
}

/// Faults of Twilio's, each at every so-manieth submission.
fn script(rng: &mut Rng) -> Vec<Rule> {
    const FAULTS: [Fault; 16] = [
        Fault::AcceptThenDrop,
        Fault::AcceptThenDrop,
        Fault::DropBeforeAccept,
        Fault::TooManyRequests,
        Fault::QueueFull,
        Fault::ServerErrorBeforeAccept,
        Fault::ServerErrorAfterAccept,
        Fault::Unavailable,
        Fault::Slow(4_000),
        Fault::Slow(40_000),
        Fault::CallbackBeforeResponse,
        Fault::DuplicateCallbacks,
        Fault::ReorderedCallbacks,
        Fault::LostCallbacks,
        Fault::Undelivered(30003),
        Fault::FailedLater(30008),
    ];
    let rules = rng.usize(1..6);
    (0..rules)
        .map(|_| Rule { fault: FAULTS[rng.usize(0..FAULTS.len())], to: None, times: None, every: Some(rng.u32(2..8)) })
        .collect()
}

/// Faults of AWS's: a few kinds, from seldom to often.
fn shares(rng: &mut Rng) -> Shares {
    let mut shares = Shares::default();
    for _ in 0..rng.usize(1..5) {
        let share = [5, 20, 60, 150][rng.usize(0..4)];
        match rng.u32(0..9) {
            0 => shares.throttled = share,
            1 => shares.failed = share,
            2 => shares.failed_after = share / 2,
            3 => shares.lost = share / 2,
            4 => shares.lost_after = share / 2,
            5 => shares.conflicts = share,
            6 => shares.partial = share * 2,
            7 => shares.stale = share * 6,
            _ => shares.slow = share / 2,
        }
    }
    // It strikes only where something was written a moment ago.
    shares.stale = shares.stale.max(300);
    shares
}

/// Different places below `end`, in order; one at least and `most` at most.
fn some(rng: &mut Rng, end: usize, most: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..end).collect();
    rng.shuffle(&mut all);
    all.truncate(rng.usize(1..=most.clamp(1, end)));
    all.sort_unstable();
    all
}

fn between(rng: &mut Rng, from: SignedDuration, to: SignedDuration) -> SignedDuration {
    let (from, to) = (from.as_millis() as i64, to.as_millis() as i64);
    SignedDuration::from_millis(rng.i64(from..to.max(from + 1)))
}

fn rounded(at: Timestamp, secs: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(secs) * secs).unwrap_or(at)
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(0..from.len())]
}
