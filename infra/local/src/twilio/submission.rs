//! What POST Messages takes, and what Twilio refuses at once.
//!
//! Magic numbers as for Twilio's test credentials (twilio-facts §9); a registered sender sends as well.

use serde_json::{Map, Value};

use super::address::{is_whatsapp, number, on_channel_of};
use super::error::ApiError;
use super::sid::is_sid;

/// The decoded fields of a form; a name may repeat.
pub(super) struct Form(Vec<(String, String)>);

/// A submission that can be accepted.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) messaging_service_sid: Option<String>,
    /// Whether the service chose the sender, which Twilio then keeps to itself for a while.
    pub(super) picked_by_service: bool,
    pub(super) body: String,
    pub(super) media_urls: Vec<String>,
    pub(super) content_sid: Option<String>,
    pub(super) content_variables: Option<String>,
    pub(super) status_callback: Option<String>,
    /// The SID of the text that it answers, if a webhook asked for it rather than the API.
    pub(super) in_reply_to: Option<String>,
}

/// The sender that always works.
pub(super) const MAGIC_SENDER: &str = "+15005550006";

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn of(fields: Vec<(&str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The first value of a field, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first value of a field, even if it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a field that is not empty.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, value)| field == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

/// Checks a submission of an account that owns `senders`.
pub(super) fn check(form: &Form, senders: &[String]) -> Result<Submission, ApiError> {
    let to = form.get("To").ok_or_else(|| ApiError::refused(21604, "A 'To' phone number is required."))?;
    check_recipient(to)?;
    let service = form.get("MessagingServiceSid");
    if service.is_some_and(|sid| !(sid.starts_with("MG") && sid.len() == 34)) {
        return Err(ApiError::refused(21701, "The Messaging Service does not exist"));
    }
    let from = match (form.get("From"), service) {
        (Some(from), _) => {
            check_sender(from, to, senders)?;
            from.to_owned()
        }
        (None, Some(_)) => picked_sender(to, senders),
        (None, None) => return Err(ApiError::refused(21603, "A 'From' phone number is required.")),
    };
    if from == to {
        return Err(ApiError::refused(21266, "'To' and 'From' number cannot be the same"));
    }
    let media: Vec<&str> = form.all("MediaUrl").collect();
    Ok(Submission {
        body: body(form, &media)?,
        media_urls: media_urls(&media)?,
        content_sid: content_sid(form)?,
        content_variables: content_variables(form)?,
        status_callback: status_callback(form)?,
        messaging_service_sid: service.map(str::to_owned),
        picked_by_service: form.get("From").is_none(),
        in_reply_to: None,
        to: to.to_owned(),
        from,
    })
}

fn check_recipient(to: &str) -> Result<(), ApiError> {
    let number = number(to);
    let invalid = || ApiError::refused(21211, format!("The 'To' number {to} is not a valid phone number."));
    match number {
        "+15005550001" => Err(invalid()),
        "+15005550002" => {
            let message = format!("The 'To' phone number: {to}, is not currently reachable using the 'From' phone number");
            Err(ApiError::refused(21612, message))
        }
        "+15005550003" => {
            let message =
                format!("Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}");
            Err(ApiError::refused(21408, message))
        }
        "+15005550004" => Err(ApiError::unsubscribed()),
        "+15005550009" => Err(ApiError::refused(21614, format!("To number: {to}, is not a mobile number"))),
        _ if is_e164(number) => Ok(()),
        _ => Err(invalid()),
    }
}

fn check_sender(from: &str, to: &str, senders: &[String]) -> Result<(), ApiError> {
    if is_whatsapp(from) != is_whatsapp(to) {
        let message = "Invalid 'From' and 'To' pair. 'From' and 'To' should be of the same channel";
        return Err(ApiError::refused(21910, message));
    }
    let from_number = number(from);
    if from_number == MAGIC_SENDER || senders.iter().any(|sender| number(sender) == from_number) {
        return Ok(());
    }
    if is_whatsapp(from) {
        let message = "Twilio could not find a Channel with the specified From address";
        return Err(ApiError::refused(63007, message));
    }
    match from_number {
        "+15005550001" => {
            let message = format!("The 'From' number {from} is not a valid phone number, shortcode, or alphanumeric sender ID.");
            Err(ApiError::refused(21212, message))
        }
        "+15005550008" => Err(ApiError::queue_full()),
        _ => {
            let message = format!(
                "The From phone number {from} is not a valid, SMS-capable inbound phone number or short code for your account."
            );
            Err(ApiError::refused(21606, message))
        }
    }
}

/// The account's first sender, on the recipient's channel.
fn picked_sender(to: &str, senders: &[String]) -> String {
    let sender = senders.first().map_or(MAGIC_SENDER, |sender| number(sender));
    on_channel_of(to, sender)
}

fn body(form: &Form, media: &[&str]) -> Result<String, ApiError> {
    let body = match (form.get("Body"), form.get("ContentSid")) {
        (Some(body), _) => body.to_owned(),
        (None, Some(content)) => [content, form.get("ContentVariables").unwrap_or_default()].join(" ").trim_end().to_owned(),
        (None, None) if media.is_empty() => return Err(ApiError::refused(21602, "Message body is required.")),
        (None, None) => String::new(),
    };
    // "Some glyphs such as emoji count as multiple": UTF-16 units is our reading of it.
    if body.encode_utf16().count() > 1600 {
        return Err(ApiError::refused(21617, "The concatenated message body exceeds the 1600 character limit"));
    }
    Ok(body)
}

fn media_urls(media: &[&str]) -> Result<Vec<String>, ApiError> {
    if media.len() > 10 {
        return Err(ApiError::refused(21623, "Number of media files exceeds allowed limit"));
    }
    if media.iter().any(|url| !is_http(url)) {
        return Err(ApiError::refused(21620, "Invalid media URL(s)"));
    }
    Ok(media.iter().map(|url| (*url).to_owned()).collect())
}

fn content_sid(form: &Form) -> Result<Option<String>, ApiError> {
    match form.get("ContentSid") {
        Some(sid) if !is_sid("HX", sid) => Err(ApiError::refused(21655, format!("The ContentSid {sid} is Invalid"))),
        sid => Ok(sid.map(str::to_owned)),
    }
}

fn content_variables(form: &Form) -> Result<Option<String>, ApiError> {
    match form.get("ContentVariables") {
        Some(text) if serde_json::from_str::<Map<String, Value>>(text).is_err() => {
            Err(ApiError::refused(21656, "The ContentVariables Parameter is invalid"))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

pub(super) fn status_callback(form: &Form) -> Result<Option<String>, ApiError> {
    match form.get("StatusCallback") {
        Some(url) if !is_http(url) => Err(ApiError::refused(21609, format!("The StatusCallback URL {url} is not a valid URL."))),
        url => Ok(url.map(str::to_owned)),
    }
}

pub(super) fn is_http(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
}

pub(super) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn code(form: &str) -> u32 {
        check(&Form::parse(form.as_bytes()), &["+15559990000".to_owned()]).unwrap_err().code
    }

    #[test]
    fn missing_and_invalid_fields_have_twilios_codes() {
        assert_eq!(code("From=%2B15005550006&Body=x"), 21604);
        assert_eq!(code("To=%2B15551234567&Body=x"), 21603);
        assert_eq!(code("To=%2B15551234567&From=%2B15005550006"), 21602);
        assert_eq!(code("To=123&From=%2B15005550006&Body=x"), 21211);
        assert_eq!(code("To=%2B15551234567&From=%2B15005550007&Body=x"), 21606);
        assert_eq!(code("To=whatsapp%3A%2B15005550004&From=whatsapp%3A%2B15005550006&Body=x"), 21610);
        assert_eq!(code(&format!("To=%2B15551234567&From=%2B15005550006&Body={}", "x".repeat(1601))), 21617);
    }

    #[test]
    fn a_template_needs_its_sid_and_an_object_of_variables() {
        let numbers = "To=%2B15551234567&From=%2B15005550006";
        let sid = format!("HX{}", "0a".repeat(16));
        let form = Form::parse(format!("{numbers}&ContentSid={sid}&ContentVariables=%7B%221%22%3A%22Ada%22%7D").as_bytes());

        let submission = check(&form, &[]).unwrap();

        assert_eq!(submission.content_sid.as_deref(), Some(sid.as_str()));
        assert_eq!(submission.content_variables.as_deref(), Some(r#"{"1":"Ada"}"#));
        assert_eq!(submission.body, format!(r#"{sid} {{"1":"Ada"}}"#));
        assert_eq!(code(&format!("{numbers}&ContentSid=HX1")), 21655);
        assert_eq!(code(&format!("{numbers}&ContentSid={sid}&ContentVariables=%5B1%5D")), 21656);
    }

    #[test]
    fn an_accounts_own_number_sends_over_either_channel() {
        let senders = ["+15559990000".to_owned()];
        let sms = Form::parse(b"To=%2B15551234567&From=%2B15559990000&Body=x");
        let whatsapp = Form::parse(b"To=whatsapp%3A%2B15551234567&From=whatsapp%3A%2B15559990000&Body=x");

        assert!(check(&sms, &senders).is_ok());
        assert!(check(&whatsapp, &senders).is_ok());
    }
}
