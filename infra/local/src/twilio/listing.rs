//! The list of messages: filters and pages, newest first.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::error::ApiError;
use super::ledger::Entry;
use super::view;

/// A list's query.
pub(super) struct Query {
    /// To, From and DateSent, as they came, for the links to the other pages.
    filters: Vec<(String, String)>,
    to: Option<String>,
    from: Option<String>,
    not_before: Option<Timestamp>,
    before: Option<Timestamp>,
    page: usize,
    page_size: usize,
    /// The last message of the page before, so that newer messages do not shift the pages.
    after: Option<String>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self {
            filters: Vec::new(),
            to: None,
            from: None,
            not_before: None,
            before: None,
            page: 0,
            page_size: 50,
            after: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            match name.as_str() {
                "Page" => parsed.page = read(&name, &value)?,
                "PageSize" => parsed.page_size = read::<usize>(&name, &value)?.clamp(1, 1000),
                "PageToken" => parsed.after = value.strip_prefix("PA").map(str::to_owned),
                "To" | "From" | "DateSent" | "DateSent>" | "DateSent<" => {
                    parsed.filter(&name, &value)?;
                    parsed.filters.push((name, value));
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    pub(super) fn matches(&self, entry: &Entry) -> bool {
        let sent = entry.date_sent.unwrap_or(entry.created);
        self.to.as_ref().is_none_or(|to| *to == entry.to)
            && self.from.as_ref().is_none_or(|from| *from == entry.from)
            && self.not_before.is_none_or(|start| sent >= start)
            && self.before.is_none_or(|end| sent < end)
    }

    fn filter(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        match name {
            "To" => self.to = Some(value.to_owned()),
            "From" => self.from = Some(value.to_owned()),
            _ => {
                let (start, end) = span(value).ok_or_else(|| invalid(name, value))?;
                if !name.ends_with('<') {
                    self.not_before = Some(start);
                }
                if !name.ends_with('>') {
                    self.before = Some(end);
                }
            }
        }
        Ok(())
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

/// One page of the messages that match, which are given newest first.
pub(super) fn page(path: &str, query: &Query, matching: &[&Entry]) -> Value {
    let after = query.after.as_ref().and_then(|sid| matching.iter().position(|entry| entry.sid == *sid));
    let start = after.map_or(query.page.saturating_mul(query.page_size), |index| index + 1);
    let shown: Vec<&Entry> = matching.iter().skip(start).take(query.page_size).copied().collect();
    let more = start.saturating_add(shown.len()) < matching.len();
    let next = shown.last().filter(|_| more).map(|last| query.uri(path, query.page + 1, Some(&last.sid)));
    let previous = query.page.checked_sub(1).map(|page| query.uri(path, page, None));
    let first_index = query.page.saturating_mul(query.page_size);
    json!({
        "end": (first_index + shown.len()).saturating_sub(1),
        "first_page_uri": query.uri(path, 0, None),
        "messages": shown.iter().map(|entry| view::message(entry)).collect::<Vec<_>>(),
        "next_page_uri": next,
        "page": query.page,
        "page_size": query.page_size,
        "previous_page_uri": previous,
        "start": first_index,
        "uri": query.uri(path, query.page, query.after.as_deref()),
    })
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

fn read<T: FromStr>(name: &str, value: &str) -> Result<T, ApiError> {
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
            num_segments: 1,
            status: Status::Queued,
            status_callback: None,
            created,
            date_sent: None,
            date_updated: created,
            error_code: None,
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

        let first = page(PATH, &Query::parse("To=%2B15551234567&PageSize=2").unwrap(), &before);
        let next_uri = first["next_page_uri"].as_str().unwrap();
        let second = page(PATH, &Query::parse(next_uri.split_once('?').unwrap().1).unwrap(), &after);

        assert_eq!(sids(&first), ["SM4", "SM3"]);
        assert_eq!(next_uri, format!("{PATH}?To=%2B15551234567&PageSize=2&Page=1&PageToken=PASM3"));
        assert_eq!(sids(&second), ["SM2", "SM1"]);
        assert_eq!(second["next_page_uri"], Value::Null);
        assert_eq!((&second["start"], &second["end"]), (&json!(2), &json!(3)));
    }

    #[test]
    fn dates_filter_by_day_and_instants_by_second() {
        let entry = entry(1, "2026-11-02T09:00:00.4Z");
        let matches = |query: &str| Query::parse(query).unwrap().matches(&entry);

        assert!(matches("DateSent=2026-11-02"));
        assert!(matches("DateSent%3E=2026-11-02"));
        assert!(matches("DateSent%3C=2026-11-02"));
        assert!(matches("DateSent%3E=2026-11-02T09%3A00%3A00Z"));
        assert!(!matches("DateSent%3E=2026-11-02T09%3A00%3A01Z"));
        assert!(!matches("DateSent%3C=2026-11-01"));
    }
}
