//! A school's files on disk (reminders.md §5): read whole, every bad row reported.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use shared::domain::reminder::Kind;
use shared::files::{self, FileError, Report, Roster, TimedEvent};
use shared::usecases::save_school::School;

/// A school and what happens to it.
#[derive(Clone, Debug)]
pub struct SchoolFolder {
    pub school: School,
    pub events: Vec<TimedEvent>,
    pub report: Report,
}

/// Why nothing could be done with a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("there is no folder {0}")]
    NoFolder(PathBuf),
    #[error("only times from 1900 to 2200 can be simulated")]
    NoSuchTime,
    #[error("{0} is missing: a school needs tenant.json and contacts.csv")]
    Missing(PathBuf),
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] FileError),
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// What can be simulated: 1900 to 2200.
pub const YEARS: std::ops::Range<Timestamp> = Timestamp::constant(-2_208_988_800, 0)..Timestamp::constant(7_258_118_400, 0);

/// A calendar's past occurrences are read so far back: attendance comes days after a lesson.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24 * 31);

/// Reads the school in `folder` for a time from `from` until `until`.
pub fn read(folder: &Path, from: Timestamp, until: Timestamp) -> Result<SchoolFolder, FolderError> {
    if !YEARS.contains(&from) || !YEARS.contains(&until) {
        return Err(FolderError::NoSuchTime);
    }
    if !folder.is_dir() {
        return Err(FolderError::NoFolder(folder.to_path_buf()));
    }
    let mut report = Report::default();
    let required = |name: &str| bytes(folder, name)?.ok_or_else(|| FolderError::Missing(folder.join(name)));
    let settings = files::settings("tenant.json", &required("tenant.json")?, &mut report)?;
    let contacts = files::contacts("contacts.csv", &required("contacts.csv")?, &settings, &mut report)?;
    let roster = Roster::new(&contacts);
    let mut lessons = match bytes(folder, "lessons.csv")? {
        Some(bytes) => files::lessons("lessons.csv", &bytes, &settings, &roster, &mut report)?,
        None => Vec::new(),
    };
    let events = match bytes(folder, "events.jsonl")? {
        Some(bytes) => files::events("events.jsonl", &bytes, &mut report),
        None => Vec::new(),
    };
    if let Some(bytes) = bytes(folder, "lessons.ics")? {
        let longest = settings.offsets(Kind::LessonReminder).iter().map(|offset| offset.minutes()).max().unwrap_or(0);
        let ahead = SignedDuration::from_mins(i64::from(longest)) + SignedDuration::from_hours(24 * 4);
        let mut window = from - LOOK_BACK..until + ahead;
        for named in events.iter().filter_map(|event| occurrence(&event.detail)) {
            window.start = window.start.min(named - DAY);
            window.end = window.end.max(named + DAY);
        }
        let occurrences = files::calendar("lessons.ics", &bytes, &settings, &roster, &lessons, &window, &mut report)?;
        lessons.extend(occurrences);
    }
    let payments = match bytes(folder, "payments.csv")? {
        Some(bytes) => files::payments("payments.csv", &bytes, &settings, &roster, &mut report)?,
        None => Vec::new(),
    };
    Ok(SchoolFolder { school: School { settings, contacts, lessons, payments }, events, report })
}

/// About when the occurrence of a series begins that an event names (`UID/20260309T150000`).
fn occurrence(detail: &serde_json::Value) -> Option<Timestamp> {
    let (_, wall) = detail["lesson"].as_str()?.rsplit_once('/')?;
    let wall = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", wall).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(wall).ok().filter(|at| YEARS.contains(at))
}

fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Unreadable { path, source }),
    }
}
