//! What a tenant hands over to connect its Twilio account: whether it can be what Twilio gave out (D9, S2-12).
//!
//! Only forms are looked at here; whether Twilio accepts it, Twilio is asked. No reason quotes what was given.

use super::compose::FieldError;
use super::phone::{PhoneNumber, Region, Strictness};

/// What an address of WhatsApp begins with (S0-22).
pub const WHATSAPP: &str = "whatsapp:";

/// `prefix` and 32 of `0-9a-f`, as Twilio's ids are.
pub fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|hex| hex.len() == 32 && is_hex(hex))
}

/// `+` and 7 to 15 digits, the first not 0 (S1-18).
pub fn is_e164(text: &str) -> bool {
    let fits = |digits: &str| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('+').is_some_and(|digits| fits(digits) && !digits.starts_with('0'))
}

/// An account's SID (S1-16).
///
/// # Errors
/// What it is instead, and where the right one is.
pub fn account_sid(field: &str, given: &str) -> Result<String, FieldError> {
    const WHERE: &str = "copy it from the first page of Twilio's Console";
    let text = real(field, given, "the Account SID")?;
    if is_sid(text, "AC") {
        return Ok(text.to_string());
    }
    let reason = match text.get(..2) {
        Some("OR") => format!("this is the SID of an organisation; the account's own begins with AC: {WHERE}"),
        Some("SK") => "this is the SID of an API key: it goes to apiKey.sid, and the account's own, AC…, here".to_string(),
        _ => format!("an Account SID is AC and 32 of 0-9 and a-f: {WHERE}"),
    };
    Err(FieldError::new(field, "invalid", reason))
}

/// An account's auth token.
///
/// # Errors
/// As of [`account_sid`].
pub fn auth_token(field: &str, given: &str) -> Result<String, FieldError> {
    let text = real(field, given, "the auth token")?;
    if text.len() == 32 && is_hex(text) {
        return Ok(text.to_string());
    }
    let is_sid = ["AC", "SK", "OR", "MG", "PN"].iter().any(|prefix| is_sid(text, prefix));
    let reason = if is_sid {
        "this is a SID; the auth token stands below the Account SID on the first page of Twilio's Console"
    } else {
        "an auth token is 32 of 0-9 and a-f: copy the whole of it from the first page of Twilio's Console"
    };
    Err(FieldError::new(field, "invalid", reason))
}

/// The SID of an API key (S1-89).
///
/// # Errors
/// As of [`account_sid`].
pub fn key_sid(field: &str, given: &str) -> Result<String, FieldError> {
    let text = real(field, given, "the API key's SID")?;
    let reason = "an API key's SID is SK and 32 of 0-9 and a-f: Twilio's Console shows it under API keys & tokens";
    is_sid(text, "SK").then(|| text.to_string()).ok_or_else(|| FieldError::new(field, "invalid", reason))
}

/// The secret of an API key.
///
/// # Errors
/// As of [`account_sid`].
pub fn key_secret(field: &str, given: &str) -> Result<String, FieldError> {
    let text = real(field, given, "the API key's secret")?;
    let fits = (16..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let reason = "letters and digits only: Twilio shows a key's secret once, when the key is made; make a new key if it is lost";
    fits.then(|| text.to_string()).ok_or_else(|| FieldError::new(field, "invalid", reason))
}

/// The SID of a messaging service.
///
/// # Errors
/// As of [`account_sid`].
pub fn service_sid(field: &str, given: &str) -> Result<String, FieldError> {
    let text = trimmed(given);
    let reason = "a messaging service's SID is MG and 32 of 0-9 and a-f: Twilio's Console shows it under Messaging, Services";
    is_sid(text, "MG").then(|| text.to_string()).ok_or_else(|| FieldError::new(field, "invalid", reason))
}

/// A number of the account's own, as people write it.
///
/// # Errors
/// As of [`account_sid`].
pub fn number(field: &str, given: &str, region: &Region) -> Result<PhoneNumber, FieldError> {
    let parsed = PhoneNumber::parse(trimmed(given), region, Strictness::Possible);
    parsed.map_err(|error| FieldError::new(field, "invalid_number", format!("{error}; a number with its country: +15551234567")))
}

/// A WhatsApp sender, `whatsapp:+15551234567`, with or without its prefix.
///
/// # Errors
/// As of [`account_sid`].
pub fn whatsapp(field: &str, given: &str, region: &Region) -> Result<String, FieldError> {
    number(field, given, region).map(|number| format!("{WHATSAPP}{}", number.e164()))
}

/// What is left of what somebody pasted, if it is not what stood in an example.
fn real<'a>(field: &str, given: &'a str, what: &str) -> Result<&'a str, FieldError> {
    let text = trimmed(given);
    if text.is_empty() {
        return Err(FieldError::new(field, "required", format!("give {what}: Twilio's Console shows it")));
    }
    if is_placeholder(text) {
        let reason =
            format!("this stands for {what} in an example, or hides a part of it: copy the real one from Twilio's Console");
        return Err(FieldError::new(field, "placeholder", reason));
    }
    Ok(text)
}

/// Without the spaces, quotes and commas that come along when somebody copies from a page or a file (S1-72).
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || "\"'`,;\u{200b}\u{200e}\u{feff}".contains(c))
}

/// Whether `text` was written to be replaced (S2-12). None of these can stand in what Twilio gives out but by a
/// chance of one in a million.
fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 17] = [
        "your-",
        "your_",
        "your ",
        "placeholder",
        "changeme",
        "change-me",
        "change_me",
        "example",
        "replace",
        "insert",
        "dummy",
        "auth-token",
        "auth_token",
        "authtoken",
        "account-sid",
        "account_sid",
        "xxxxx",
    ];
    let lower = text.to_lowercase();
    let rest = ["ac", "sk"].iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
    lower.starts_with("your")
        || lower.contains(['<', '>', '{', '}', '[', ']', '…', '*', '•'])
        || lower.contains("...")
        || WORDS.iter().any(|word| lower.contains(word))
        || [lower.as_str(), rest].iter().any(|text| is_one_letter(text))
}

/// `xxx`, `0000…`.
fn is_one_letter(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| letters.all(|letter| letter == first))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef";

    fn us() -> Region {
        Region::try_from("US".to_string()).unwrap()
    }

    fn code(result: Result<String, FieldError>) -> String {
        result.map_or_else(|error| error.code, |_| "ok".to_string())
    }

    #[test]
    fn what_comes_along_with_a_paste_is_taken_off() {
        for given in [format!("  AC{HEX}\n"), format!("\"AC{HEX}\","), format!("\u{feff}AC{HEX}\u{a0}")] {
            assert_eq!(account_sid("accountSid", &given).unwrap(), format!("AC{HEX}"));
        }
        assert_eq!(auth_token("authToken", &format!(" {HEX}\t")).unwrap(), HEX);
        assert_eq!(key_secret("s", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF").unwrap().len(), 32);
    }

    #[test]
    fn placeholders_are_refused_as_such() {
        for given in [
            "your-actual-auth-token-here", // S2-12
            "your_auth_token",
            "YOUR_AUTH_TOKEN",
            "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "xxx",
            "AC00000000000000000000000000000000",
            "<token>",
            "${TWILIO_AUTH_TOKEN}",
            "changeme",
            "AC12345678...",
            "••••••••",
            "********",
        ] {
            assert_eq!(code(account_sid("accountSid", given)), "placeholder", "{given}");
            assert_eq!(code(auth_token("authToken", given)), "placeholder", "{given}");
        }
        assert_eq!(code(account_sid("accountSid", "  ")), "required");
    }

    #[test]
    fn another_kind_of_id_is_told_from_the_right_one() {
        let organisation = account_sid("accountSid", &format!("OR{HEX}")).unwrap_err(); // D9, S2-09
        assert!(organisation.reason.contains("organisation") && organisation.reason.contains("AC"), "{}", organisation.reason);
        assert!(account_sid("accountSid", &format!("SK{HEX}")).unwrap_err().reason.contains("apiKey.sid"));
        assert!(auth_token("authToken", &format!("AC{HEX}")).unwrap_err().reason.contains("this is a SID"));
        for given in [format!("ac{HEX}"), format!("AC{}", HEX.to_uppercase()), format!("AC{}", &HEX[1..]), format!("AC {HEX}")] {
            assert_eq!(code(account_sid("accountSid", &given)), "invalid", "{given}");
        }
        assert_eq!(code(auth_token("authToken", &HEX[1..])), "invalid");
        assert_eq!(code(key_sid("apiKey.sid", &format!("AC{HEX}"))), "invalid");
        assert_eq!(code(key_sid("apiKey.sid", &format!("SK{HEX}"))), "ok");
        assert_eq!(code(service_sid("messagingServiceSid", &format!(" MG{HEX} "))), "ok");
    }

    #[test]
    fn no_reason_quotes_a_secret() {
        for given in ["Hunter2-Hunter2", "0123456789abcdef", "your-secret-7781"] {
            let error = auth_token("authToken", given).unwrap_err();
            assert!(!error.reason.contains(given), "{}", error.reason);
        }
    }

    #[test]
    fn a_whatsapp_sender_has_its_prefix_once() {
        for given in ["whatsapp:+15551234567", "WhatsApp: +1 555 123 4567", "+15551234567", "(555) 123-4567"] {
            assert_eq!(whatsapp("whatsappNumber", given, &us()).unwrap(), "whatsapp:+15551234567", "{given}");
        }
        assert_eq!(code(whatsapp("whatsappNumber", "the office", &us())), "invalid_number");
    }

    #[test]
    fn e164_is_plus_and_digits() {
        assert!(is_e164("+15551234567") && is_e164("+1234567890"));
        for text in ["15551234567", "+0987654321", "+1 555 123 4567", "+1555", "+1234567890123456", "+", ""] {
            assert!(!is_e164(text), "{text}");
        }
    }
}
