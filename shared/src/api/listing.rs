//! Listings by page: how many, and where the next begins.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use super::request;

/// A page of a listing.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    #[param(maximum = 200, minimum = 1)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// From when to when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// The longest span of one listing.
const LONGEST_SPAN: SignedDuration = SignedDuration::from_hours(24 * 31);

/// # Errors
/// 422, for a span that is too long or runs backwards.
pub fn bounded(from: Timestamp, to: Timestamp) -> Result<(), Problem> {
    if to < from || to.duration_since(from) > LONGEST_SPAN {
        return Err(Problem::field("to", "invalid", "from and to must be at most 31 days apart, in this order"));
    }
    Ok(())
}

/// From which day to which by the tenant's calendar, both included. Without them: the last 30 days; without one of
/// them: up to today, or the 30 days up to then.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DaySpan {
    /// `2026-03-10`.
    pub from: Option<Date>,
    pub to: Option<Date>,
}

const USUAL_DAYS: i32 = 30;
const MOST_DAYS: i32 = 400;
/// Before and after these years it is a slip of the pen.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2100;

/// The days that are asked for, when it is `today`.
///
/// # Errors
/// 422, for a span that is too long or runs backwards.
pub fn days(asked: &DaySpan, today: Date) -> Result<(Date, Date), Problem> {
    let to = asked.to.unwrap_or(today);
    let from = asked.from.unwrap_or(to.saturating_sub((USUAL_DAYS - 1).days()));
    for (field, day) in [("from", from), ("to", to)] {
        if !YEARS.contains(&day.year()) {
            return Err(Problem::field(field, "invalid", "a date of this century: 2026-03-10"));
        }
    }
    if to < from || (to - from).get_days() >= MOST_DAYS {
        let reason = format!("from and to must be at most {MOST_DAYS} days, both included, in this order");
        return Err(Problem::field("to", "invalid", reason));
    }
    Ok((from, to))
}

/// What a listing asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub limit: u32,
    /// The entry after which the page begins.
    pub after: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;
pub const LARGEST_LIMIT: u32 = 200;

/// # Errors
/// 422, for a cursor that we did not give and a limit that is too large.
pub fn read(listing: Result<Query<Listing>, QueryRejection>) -> Result<Asked, Problem> {
    let Query(Listing { limit, cursor }) = listing.map_err(bad_query)?;
    asked(limit, cursor.as_deref())
}

pub fn asked(limit: Option<u32>, cursor: Option<&str>) -> Result<Asked, Problem> {
    Ok(Asked { limit: self::limit(limit)?, after: cursor.map(place).transpose()? })
}

/// The entry of an index behind a cursor: an instant, and what stands there.
fn place(cursor: &str) -> Result<String, Problem> {
    let entry = entry(cursor)?;
    let is_place = entry.split_once('#').is_some_and(|(at, _)| at.parse::<Timestamp>().is_ok());
    if is_place { Ok(entry) } else { Err(foreign()) }
}

pub fn foreign() -> Problem {
    Problem::field("cursor", "invalid", "not one that this listing gave")
}

pub fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=LARGEST_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::field("limit", "invalid", format!("1 to {LARGEST_LIMIT}")))
    }
}

/// Opaque to callers: a place in a listing, without the table's own keys.
pub fn cursor(entry: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(entry)
}

/// The place behind a cursor.
pub fn entry(cursor: &str) -> Result<String, Problem> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_ours = |text: &String| text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    text.filter(is_ours).filter(|text| !text.is_empty()).ok_or_else(foreign)
}

pub fn bad_query(rejection: QueryRejection) -> Problem {
    unreadable(&rejection, "an instant: 2026-11-21T00:00:00Z")
}

/// The same, where `from` and `to` are days.
pub fn bad_days(rejection: QueryRejection) -> Problem {
    unreadable(&rejection, "a date: 2026-11-21")
}

fn unreadable(rejection: &QueryRejection, of_time: &str) -> Problem {
    told(&rejection.body_text(), of_time)
}

/// What cannot be read of a query, by what axum says of it.
fn told(said: &str, of_time: &str) -> Problem {
    let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(said);
    // Of the whole query nothing stands before what is wrong.
    let (field, reason) = said.split_once(": ").unwrap_or(("", said));
    let mut error = request::unreadable(field, reason);
    if matches!(field, "from" | "to") && !reason.starts_with("unknown field") {
        error.reason = of_time.into();
    }
    if error.field.is_empty() {
        error.field = "query".into();
    }
    Problem::fields(vec![error])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn error(problem: Problem) -> Vec<String> {
        let problem = serde_json::to_value(problem).unwrap();
        let text = |name: &str| problem["errors"][0][name].as_str().unwrap().to_string();
        ["field", "code", "reason"].map(text).to_vec()
    }

    #[test]
    fn what_cannot_be_read_of_a_query_is_told_in_plain_words() {
        let instant = "an instant: 2026-11-21T00:00:00Z";
        for (query, field, code, reason) in [
            ("from=2026-11-21", "from", "invalid", instant),
            ("to=tomorrow", "to", "invalid", instant),
            ("form=2026-11-21T00:00:00Z", "form", "invalid", "there is no such field: did you mean from?"),
        ] {
            let uri: axum::http::Uri = format!("/messages?{query}").parse().unwrap();
            let problem = bad_query(Query::<Span>::try_from_uri(&uri).unwrap_err());
            assert_eq!(error(problem), [field, code, reason], "{query}");
        }
        let missing = told("Failed to deserialize query string: missing field `amount`", instant);
        assert_eq!(error(missing), ["amount", "required", "this field is required"]);
        let limit = told("Failed to deserialize query string: limit: invalid digit found in string", instant);
        assert_eq!(error(limit), ["limit", "invalid", "a whole number"]);
    }
}
