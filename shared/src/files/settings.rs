//! `tenant.json`: the settings, the same JSON as `PUT /settings`.

use crate::domain::tenant::Settings;

use super::{FileError, decode};

/// Reads a tenant's settings.
///
/// # Errors
/// [`FileError::BadSettings`] with what to mend, and where: a school without settings cannot be served.
pub fn settings(file: &str, bytes: &[u8]) -> Result<Settings, FileError> {
    let bad = |reason: String| FileError::BadSettings { file: file.to_string(), reason };
    let settings: Settings = serde_json::from_str(&decode(bytes)).map_err(|error| bad(error.to_string()))?;
    settings.validate().map_err(bad)?;
    Ok(settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{SETTINGS, utf16};
    use super::*;

    #[test]
    fn settings_are_read_in_any_encoding() {
        for bytes in [SETTINGS.as_bytes().to_vec(), format!("\u{FEFF}{SETTINGS}").into_bytes(), utf16(SETTINGS)] {
            assert_eq!(settings("tenant.json", &bytes).unwrap().name, "School");
        }
    }

    #[test]
    fn bad_settings_say_what_and_where() {
        let reason = |text: String| settings("tenant.json", text.as_bytes()).unwrap_err().to_string();

        let zone = reason(SETTINGS.replace("America/New_York", "Mars/Olympus_Mons"));
        let offset = reason(SETTINGS.replace("\"budget\"", r#""types": {"payment_reminder": {"offsets": ["3h"]}}, "budget""#));
        let missing = reason("{}".into());

        assert!(zone.starts_with("tenant.json: unknown time zone: 'Mars/Olympus_Mons' at line 2"), "{zone}");
        assert!(offset.contains("types.payment_reminder.offsets"), "{offset}");
        assert!(missing.contains("missing field"), "{missing}");
    }
}
