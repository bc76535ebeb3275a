//! Listings by page: how many, and where the next begins.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;

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
    let reason = rejection.body_text();
    let reason = reason.strip_prefix("Failed to deserialize query string: ").unwrap_or(&reason);
    let (field, reason) = reason.split_once(": ").unwrap_or(("query", reason));
    let hint = if matches!(field, "from" | "to") { "; an instant: 2026-03-10T15:00:00Z" } else { "" };
    Problem::field(field, "invalid", format!("{reason}{hint}"))
}
