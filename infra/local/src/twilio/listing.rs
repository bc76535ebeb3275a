//! The lists of messages, of calls and of numbers: filters and pages, newest first.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::call::CallEntry;
use super::error::ApiError;
use super::ledger::Entry;
use super::phone_number::OwnedNumber;
use super::{inventory, view};

/// What the API lists.
pub(super) trait Listed {
    /// The field of a page that holds them.
    const FIELD: &'static str;
    /// The name of the filter by date, if there is one.
    const DATE_FILTER: Option<&'static str>;
    /// The names of the other filters.
    const FILTERS: &'static [&'static str];

    fn sid(&self) -> &str;
    /// Whether one of `FILTERS` lets it through.
    fn passes(&self, filter: &str, value: &str) -> bool;
    /// What the filter by date looks at. What has not come so far is not to be overlooked.
    fn date(&self) -> Timestamp;
    fn view(&self) -> Value;
}

/// How many a page shows unless it is said.
const PAGE_SIZE: usize = 50;

/// A list's query.
pub(super) struct Query {
    /// With their values, as they came; also for the links to the other pages.
    filters: Vec<(String, String)>,
    not_before: Option<Timestamp>,
    before: Option<Timestamp>,
    page: usize,
    page_size: usize,
    /// The last SID of the page before, so that what is newer does not shift the pages.
    after: Option<String>,
}

impl Query {
    pub(super) fn parse<T: Listed>(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self { filters: Vec::new(), not_before: None, before: None, page: 0, page_size: PAGE_SIZE, after: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            match name.as_str() {
                "Page" => parsed.page = read(&name, &value)?,
                "PageSize" => parsed.page_size = page_size(Some(&value))?,
                "PageToken" => parsed.after = value.strip_prefix("PA").map(str::to_owned),
                _ => {
                    if parsed.filter::<T>(&name, &value)? {
                        parsed.filters.push((name, value));
                    }
                }
            }
        }
        Ok(parsed)
    }

    pub(super) fn matches<T: Listed>(&self, item: &T) -> bool {
        let date = item.date();
        let mut filters = self.filters.iter().filter(|(name, _)| T::FILTERS.contains(&name.as_str()));
        filters.all(|(name, value)| item.passes(name, value))
            && self.not_before.is_none_or(|start| date >= start)
            && self.before.is_none_or(|end| date < end)
    }

    /// Takes a filter; false if there is none of that name.
    fn filter<T: Listed>(&mut self, name: &str, value: &str) -> Result<bool, ApiError> {
        if T::FILTERS.contains(&name) {
            return Ok(true);
        }
        let side = T::DATE_FILTER.and_then(|date| name.strip_prefix(date)).filter(|side| matches!(*side, "" | "<" | ">"));
        let Some(side) = side else { return Ok(false) };
        let (start, end) = span(value).ok_or_else(|| invalid(name, value))?;
        if side != "<" {
            self.not_before = Some(start);
        }
        if side != ">" {
            self.before = Some(end);
        }
        Ok(true)
    }

    fn uri(&self, path: &str, page: usize, token: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.filters);
        query.append_pair("PageSize", &self.page_size.to_string()).append_pair("Page", &page.to_string());
        if let Some(sid) = token {
            query.append_pair("PageToken", &format!("PA{sid}"));
        }
        format!("{path}?{}", query.finish())
    }
}

impl Listed for Entry {
    const FIELD: &'static str = "messages";
    const DATE_FILTER: Option<&'static str> = Some("DateSent");
    const FILTERS: &'static [&'static str] = &["To", "From"];

    fn sid(&self) -> &str {
        &self.sid
    }

    fn passes(&self, filter: &str, value: &str) -> bool {
        match filter {
            "To" => self.to == value,
            _ => self.from == value,
        }
    }

    fn date(&self) -> Timestamp {
        self.date_sent.unwrap_or(self.created)
    }

    fn view(&self) -> Value {
        view::message(self)
    }
}

impl Listed for CallEntry {
    const FIELD: &'static str = "calls";
    const DATE_FILTER: Option<&'static str> = Some("StartTime");
    const FILTERS: &'static [&'static str] = &["To", "From", "Status"];

    fn sid(&self) -> &str {
        &self.sid
    }

    fn passes(&self, filter: &str, value: &str) -> bool {
        match filter {
            "To" => self.to == value,
            "From" => self.from == value,
            _ => self.status.shown() == value,
        }
    }

    fn date(&self) -> Timestamp {
        self.start_time.unwrap_or(self.created)
    }

    fn view(&self) -> Value {
        view::call(self)
    }
}

impl Listed for OwnedNumber {
    const FIELD: &'static str = "incoming_phone_numbers";
    const DATE_FILTER: Option<&'static str> = None;
    const FILTERS: &'static [&'static str] = &["PhoneNumber", "FriendlyName"];

    fn sid(&self) -> &str {
        &self.sid
    }

    fn passes(&self, filter: &str, value: &str) -> bool {
        match filter {
            "PhoneNumber" => inventory::contains(&self.phone_number, value),
            _ => self.friendly_name == value,
        }
    }

    fn date(&self) -> Timestamp {
        self.created
    }

    fn view(&self) -> Value {
        view::number(self)
    }
}

/// One page of what matches, which is given newest first.
pub(super) fn page<T: Listed>(path: &str, query: &Query, matching: &[&T]) -> Value {
    let after = query.after.as_deref().and_then(|sid| matching.iter().position(|item| item.sid() == sid));
    let start = after.map_or(query.page.saturating_mul(query.page_size), |index| index + 1);
    let shown: Vec<&T> = matching.iter().skip(start).take(query.page_size).copied().collect();
    let more = start.saturating_add(shown.len()) < matching.len();
    let next = shown.last().filter(|_| more).map(|last| query.uri(path, query.page + 1, Some(last.sid())));
    let previous = query.page.checked_sub(1).map(|page| query.uri(path, page, None));
    let first_index = query.page.saturating_mul(query.page_size);
    let mut page = json!({
        "end": (first_index + shown.len()).saturating_sub(1),
        "first_page_uri": query.uri(path, 0, None),
        "next_page_uri": next,
        "page": query.page,
        "page_size": query.page_size,
        "previous_page_uri": previous,
        "start": first_index,
        "uri": query.uri(path, query.page, query.after.as_deref()),
    });
    page[T::FIELD] = shown.iter().map(|item| item.view()).collect::<Value>();
    page
}

/// The day or the second that a date or an instant names.
fn span(value: &str) -> Option<(Timestamp, Timestamp)> {
    if let Ok(instant) = value.parse::<Timestamp>() {
        let start = Timestamp::from_second(instant.as_second()).ok()?;
        return Some((start, start + Duration::from_secs(1)));
    }
    let start = value.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((start, start + Duration::from_secs(24 * 60 * 60)))
}

/// How many a page of a list shows.
pub(super) fn page_size(given: Option<&str>) -> Result<usize, ApiError> {
    given.map_or(Ok(PAGE_SIZE), |value| Ok(read::<usize>("PageSize", value)?.clamp(1, 1000)))
}

pub(super) fn read<T: FromStr>(name: &str, value: &str) -> Result<T, ApiError> {
    value.parse().map_err(|_| invalid(name, value))
}

fn invalid(name: &str, value: &str) -> ApiError {
    ApiError::refused(20001, format!("The value {value} of the parameter {name} is not valid"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::ledger::Status;
    use super::*;

    const PATH: &str = "/2010-04-01/Accounts/AC1/Messages.json";

    fn entry(number: u32, created: &str) -> Entry {
        let created = created.parse().unwrap();
        Entry {
            sid: format!("SM{number}"),
            account_sid: "AC1".to_owned(),
            to: "+15551234567".to_owned(),
            from: "+15005550006".to_owned(),
            messaging_service_sid: None,
            body: String::new(),
            num_media: 0,
            media_urls: Vec::new(),
            media_types: Vec::new(),
            content_sid: None,
            content_variables: None,
            num_segments: 1,
            status: Status::Queued,
            status_callback: None,
            created,
            date_sent: None,
            date_updated: created,
            error_code: None,
            deleted: false,
            in_reply_to: None,
        }
    }

    fn sids(page: &Value) -> Vec<&str> {
        page["messages"].as_array().unwrap().iter().map(|message| message["sid"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_new_message_does_not_shift_the_next_page() {
        let entries: Vec<Entry> = (1..=5).map(|number| entry(number, "2026-11-02T09:00:00Z")).collect();
        let before: Vec<&Entry> = entries[..4].iter().rev().collect();
        let after: Vec<&Entry> = entries.iter().rev().collect();

        let first = page(PATH, &Query::parse::<Entry>("To=%2B15551234567&PageSize=2").unwrap(), &before);
        let next_uri = first["next_page_uri"].as_str().unwrap();
        let second = page(PATH, &Query::parse::<Entry>(next_uri.split_once('?').unwrap().1).unwrap(), &after);

        assert_eq!(sids(&first), ["SM4", "SM3"]);
        assert_eq!(next_uri, format!("{PATH}?To=%2B15551234567&PageSize=2&Page=1&PageToken=PASM3"));
        assert_eq!(sids(&second), ["SM2", "SM1"]);
        assert_eq!(second["next_page_uri"], Value::Null);
        assert_eq!((&second["start"], &second["end"]), (&json!(2), &json!(3)));
    }

    #[test]
    fn dates_filter_by_day_and_instants_by_second() {
        let entry = entry(1, "2026-11-02T09:00:00.4Z");
        let matches = |query: &str| Query::parse::<Entry>(query).unwrap().matches(&entry);

        assert!(matches("DateSent=2026-11-02"));
        assert!(matches("DateSent%3E=2026-11-02"));
        assert!(matches("DateSent%3C=2026-11-02"));
        assert!(matches("DateSent%3E=2026-11-02T09%3A00%3A00Z"));
        assert!(!matches("DateSent%3E=2026-11-02T09%3A00%3A01Z"));
        assert!(!matches("DateSent%3C=2026-11-01"));
    }

    #[test]
    fn only_calls_are_filtered_by_status() {
        let entry = entry(1, "2026-11-02T09:00:00Z");

        let messages = Query::parse::<Entry>("Status=delivered&StartTime=2026-11-01").unwrap();
        let calls = Query::parse::<CallEntry>("Status=completed&StartTime%3E=2026-11-01").unwrap();

        assert!(messages.matches(&entry) && messages.filters.is_empty());
        assert_eq!(calls.filters.len(), 2);
    }
}
