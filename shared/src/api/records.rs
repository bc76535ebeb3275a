//! What lessons and payments have in common: one or many to save, ids in paths, pages by time, and what is planned.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::listing;
use super::problem::Problem;
use super::request::unreadable;
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::reminder::Offset;
use crate::domain::school_event::LONGEST_ID;
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::messages;

/// So many are saved by one request; more are a file to import.
const MOST: usize = 500;
/// Of a subject, a teacher, a course, in characters.
const LONGEST_TEXT: usize = 200;

/// Something of a request, and its row, counted from 0, if the request is a list.
pub type Row<T> = (Option<u32>, T);

/// The rows of a list.
///
/// # Errors
/// 413 and 422, for more than one request takes, and for none.
pub fn numbered(list: Vec<Value>) -> Result<Vec<Row<Value>>, Problem> {
    if list.is_empty() {
        return Err(Problem::field("", "required", "the list is empty"));
    }
    if list.len() > MOST {
        return Err(Problem::too_large(format!("at most {MOST} at once: send them in parts, or import a file")));
    }
    Ok(list.into_iter().zip(0..).map(|(value, row)| (Some(row), value)).collect())
}

/// What was found wrong in the rows of a request. Where anything is, nothing is saved.
#[derive(Debug, Default)]
pub struct Wrong(Vec<FieldError>);

impl Wrong {
    pub fn add(&mut self, row: Option<u32>, errors: impl IntoIterator<Item = FieldError>) {
        self.0.extend(errors.into_iter().map(|error| FieldError { row, ..error }));
    }

    /// Reads each row by itself, and keeps those that can be read.
    pub fn read<T: DeserializeOwned>(&mut self, rows: Vec<Row<Value>>) -> Vec<Row<T>> {
        let mut read = Vec::with_capacity(rows.len());
        for (row, value) in rows {
            match read_one(value) {
                Ok(value) => read.push((row, value)),
                Err(error) => self.add(row, [error]),
            }
        }
        read
    }

    /// Notes an id that a row before has.
    pub fn once(&mut self, seen: &mut HashSet<String>, row: Option<u32>, id: &str) {
        if !seen.insert(id.to_string()) {
            self.add(row, [FieldError::new("id", "duplicate", "a row before has this id")]);
        }
    }

    /// # Errors
    /// Everything that is wrong, in the order of the rows.
    pub fn refuse(mut self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|error| error.row);
        Err(Problem::fields(self.0))
    }
}

fn read_one<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    if !value.is_object() {
        return Err(FieldError::new("", "invalid", "each is an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        unreadable(path.trim_matches(['.', '?']), &error.into_inner().to_string())
    })
}

/// The tenant's own id of something.
pub fn id(given: Option<&str>, errors: &mut Vec<FieldError>) -> Option<String> {
    let id = given.unwrap_or_default().trim();
    if id.is_empty() {
        errors.push(FieldError::new("id", "required", "this field is required"));
        return None;
    }
    if id.len() > LONGEST_ID {
        errors.push(FieldError::new("id", "too_long", format!("at most {LONGEST_ID} bytes")));
        return None;
    }
    Some(id.to_string())
}

/// A text of a line that must say something.
pub fn required(field: &str, given: &str, errors: &mut Vec<FieldError>) -> Option<String> {
    if given.trim().is_empty() {
        errors.push(FieldError::new(field, "required", "empty"));
        return None;
    }
    optional(field, Some(given), errors)
}

/// A text of a line; nothing if it is empty.
pub fn optional(field: &str, given: Option<&str>, errors: &mut Vec<FieldError>) -> Option<String> {
    let text = given?.trim();
    if text.chars().count() > LONGEST_TEXT {
        errors.push(FieldError::new(field, "too_long", format!("at most {LONGEST_TEXT} characters")));
        return None;
    }
    Some(text.to_string()).filter(|text| !text.is_empty())
}

/// The id in a path. API Gateway decodes a path once before it looks for its parts: a `/` of the id reaches us only
/// if it was encoded twice (`%252F`), and then once encoded.
pub fn path_id(id: &str) -> String {
    id.replace("%2F", "/").replace("%2f", "/")
}

/// The id of a path; one that is given beside it must be the same.
///
/// # Errors
/// 422, for another id in the body.
pub fn only_id(path: &str, given: Option<&str>) -> Result<String, Problem> {
    let id = path_id(path);
    match given {
        Some(given) if given.trim() != id => Err(Problem::field("id", "invalid", "not the id of the path: leave it out")),
        Some(_) | None => Ok(id),
    }
}

/// The entry at which a listing goes on: a time, `#`, an id.
///
/// # Errors
/// 422, for a cursor that no listing gave.
pub fn entry(cursor: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_place = |text: &String| text.split_once('#').is_some_and(|(_, id)| (1..=LONGEST_ID).contains(&id.len()));
    text.filter(is_place).map(Some).ok_or_else(listing::foreign)
}

/// A reminder that is planned and has not gone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedReminder {
    #[schema(value_type = String)]
    id: MessageId,
    contact: Option<String>,
    /// How long before: `24h`, `3d`.
    #[schema(value_type = Option<String>)]
    offset: Option<Offset>,
    due_at: Timestamp,
    status: Status,
}

/// The reminders about `subject` that wait, the earliest first.
pub async fn planned(cx: &Context, tenant: &TenantId, subject: Subject<'_>) -> Result<Vec<PlannedReminder>, Problem> {
    let mut waiting = messages::waiting_for(cx.table().await?, tenant, subject).await?;
    waiting.sort_by(|a, b| (a.due_at, &a.contact).cmp(&(b.due_at, &b.contact)));
    let view = |message: Message| PlannedReminder {
        id: message.id,
        contact: message.contact,
        offset: message.offset,
        due_at: message.due_at,
        status: message.status,
    };
    Ok(waiting.into_iter().map(view).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_cursor_whatever_the_id_holds() {
        let long = format!("2026-03-10#{}", "x".repeat(LONGEST_ID));
        for place in ["2026-03-10T15:00:00.000Z#Übung/2 a#b", long.as_str()] {
            assert_eq!(entry(Some(&listing::cursor(place))).unwrap().as_deref(), Some(place));
        }
        assert!(entry(Some("")).is_err() && entry(Some("!")).is_err());
        for place in [&b"2026-03-10#"[..], b"2026-03-10", b"\xFF#a"] {
            assert!(entry(Some(&listing::cursor(place))).is_err(), "{place:?}");
        }
        assert!(entry(None).unwrap().is_none());
    }

    #[test]
    fn a_slash_of_an_id_may_have_been_encoded_once_or_twice() {
        assert_eq!(path_id("u@x.example%2F20260309T150000"), "u@x.example/20260309T150000");
        assert_eq!(path_id("u@x.example/20260309T150000"), "u@x.example/20260309T150000");
    }
}
