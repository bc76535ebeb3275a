//! `tenant.json`: the settings, the same JSON as `PUT /settings`.

use crate::domain::tenant::Settings;

use serde_json::Value;

use super::{FileError, Note, Report, decode};

/// Reads a tenant's settings; fields that we do not know are noted.
///
/// # Errors
/// [`FileError::BadSettings`] with what to mend, and where: a school without settings cannot be served.
pub fn settings(file: &str, bytes: &[u8], report: &mut Report) -> Result<Settings, FileError> {
    let bad = |reason: String| FileError::BadSettings { file: file.to_string(), reason };
    let text = decode(bytes);
    let settings: Settings = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    settings.validate().map_err(bad)?;
    if let (Ok(given), Ok(known)) = (serde_json::from_str(&text), serde_json::to_value(&settings)) {
        note_unknown("", &given, &known, file, report);
    }
    Ok(settings)
}

/// A misspelt field would otherwise be a default without a word.
fn note_unknown(path: &str, given: &Value, known: &Value, file: &str, report: &mut Report) {
    let (Some(given), Some(known)) = (given.as_object(), known.as_object()) else { return };
    for (name, value) in given {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match known.get(name) {
            Some(known) => note_unknown(&path, value, known, file, report),
            None => report.notes.push(Note { file: file.to_string(), uid: path, reason: "unknown setting, ignored".into() }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{SETTINGS, utf16};
    use super::*;

    #[test]
    fn settings_are_read_in_any_encoding() {
        for bytes in [SETTINGS.as_bytes().to_vec(), format!("\u{FEFF}{SETTINGS}").into_bytes(), utf16(SETTINGS)] {
            assert_eq!(settings("tenant.json", &bytes, &mut Report::default()).unwrap().name, "School");
        }
    }

    #[test]
    fn bad_settings_say_what_and_where() {
        let reason = |text: String| settings("tenant.json", text.as_bytes(), &mut Report::default()).unwrap_err().to_string();

        let zone = reason(SETTINGS.replace("America/New_York", "Mars/Olympus_Mons"));
        let offset = reason(SETTINGS.replace("\"budget\"", r#""types": {"payment_reminder": {"offsets": ["3h"]}}, "budget""#));
        let missing = reason("{}".into());

        assert!(zone.starts_with("tenant.json: unknown time zone: 'Mars/Olympus_Mons' at line 2"), "{zone}");
        assert!(offset.contains("types.payment_reminder.offsets"), "{offset}");
        assert!(missing.contains("missing field"), "{missing}");
    }
}
