//! What POST Calls takes, and what Twilio refuses at once.
//!
//! Magic numbers as for Twilio's test credentials (twilio-facts §9); a registered sender calls as well.
//! Wording from what people quote of Twilio's answers; fields that are not named here are ignored.

use super::address::number;
use super::call::CallEvent;
use super::error::ApiError;
use super::sid::is_sid;
use super::submission::{Form, MAGIC_SENDER, is_e164, is_http, status_callback};

/// A call that can be accepted.
#[derive(Debug)]
pub(super) struct CallSubmission {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) twiml: Option<String>,
    pub(super) url: Option<String>,
    pub(super) machine_detection: Option<String>,
    pub(super) status_callback: Option<String>,
    pub(super) status_callback_events: Vec<CallEvent>,
}

/// Twilio's limit for TwiML that comes with the call.
const TWIML_CHARACTERS: usize = 4000;

/// Checks a call of an account that owns `senders`.
pub(super) fn check(form: &Form, senders: &[String]) -> Result<CallSubmission, ApiError> {
    let to = form.get("To").ok_or_else(|| ApiError::refused(21201, "No 'To' number is specified"))?;
    let from = form.get("From").ok_or_else(|| ApiError::refused(21213, "A 'From' phone number is required."))?;
    check_recipient(to)?;
    check_sender(from, senders)?;
    let (url, twiml) = instructions(form)?;
    check_parameters(form)?;
    Ok(CallSubmission {
        to: to.to_owned(),
        from: from.to_owned(),
        twiml,
        url,
        machine_detection: machine_detection(form)?,
        status_callback: status_callback(form)?,
        status_callback_events: status_callback_events(form)?,
    })
}

fn check_recipient(to: &str) -> Result<(), ApiError> {
    match to {
        "+15005550001" => Err(ApiError::refused(21217, format!("Phone number {to} does not appear to be valid"))),
        "+15005550002" => Err(ApiError::refused(21214, format!("'To' phone number {to} cannot be reached"))),
        "+15005550003" => {
            let message =
                format!("Account not authorized to call {to}. Perhaps you need to enable some international permissions");
            Err(ApiError::refused(21215, message))
        }
        "+15005550004" => Err(ApiError::refused(21216, format!("Account not allowed to call {to}"))),
        _ if is_e164(to) => Ok(()),
        _ => {
            let message = format!("The phone number you are attempting to call, {to}, is not valid.");
            Err(ApiError::refused(21211, message))
        }
    }
}

fn check_sender(from: &str, senders: &[String]) -> Result<(), ApiError> {
    if from == MAGIC_SENDER || senders.iter().any(|sender| number(sender) == from) {
        return Ok(());
    }
    if from == "+15005550001" {
        return Err(ApiError::refused(21212, format!("From is not a valid phone number: {from}")));
    }
    let message = format!(
        "The source phone number provided, {from}, is not yet verified for your account. \
         You may only make calls from phone numbers that you've verified or purchased from Twilio."
    );
    Err(ApiError::refused(21210, message))
}

/// The URL or the TwiML that says what is said. Twilio ignores TwiML that comes beside a URL.
fn instructions(form: &Form) -> Result<(Option<String>, Option<String>), ApiError> {
    if let Some(application) = form.get("ApplicationSid").filter(|sid| !is_sid("AP", sid)) {
        return Err(ApiError::refused(21218, format!("Invalid ApplicationSid: {application}")));
    }
    match (form.get("Url"), form.get("Twiml")) {
        (Some(url), _) if !is_http(url) => Err(ApiError::refused(21205, format!("Url is not a valid URL: {url}"))),
        (Some(url), _) => Ok((Some(url.to_owned()), None)),
        (None, Some(twiml)) if twiml.chars().count() > TWIML_CHARACTERS => {
            let message = format!("The parameter Twiml exceeds the limit of {TWIML_CHARACTERS} characters");
            Err(ApiError::refused(21658, message))
        }
        (None, Some(twiml)) => Ok((None, Some(twiml.to_owned()))),
        (None, None) if form.get("ApplicationSid").is_none() => Err(ApiError::refused(21205, "Url parameter is required.")),
        (None, None) => Ok((None, None)),
    }
}

/// Refuses what Twilio would, of the parameters that change nothing here.
fn check_parameters(form: &Form) -> Result<(), ApiError> {
    if let Some(timeout) = form.get("Timeout").filter(|timeout| timeout.parse::<u32>().is_err()) {
        return Err(ApiError::refused(21208, format!("Invalid Timeout: {timeout}")));
    }
    // Better refused than posted all the same.
    if let Some(method) = form.get("StatusCallbackMethod").filter(|method| *method != "POST") {
        return Err(ApiError::refused(21209, format!("StatusCallbackMethod {method}: the local Twilio only knows POST")));
    }
    Ok(())
}

fn machine_detection(form: &Form) -> Result<Option<String>, ApiError> {
    match form.get("MachineDetection") {
        None => Ok(None),
        Some(mode @ ("Enable" | "DetectMessageEnd")) => Ok(Some(mode.to_owned())),
        Some(mode) => Err(ApiError::refused(21234, format!("Invalid Machine Detection configuration value: {mode}"))),
    }
}

fn status_callback_events(form: &Form) -> Result<Vec<CallEvent>, ApiError> {
    let mut events = Vec::new();
    for word in form.all("StatusCallbackEvent") {
        let invalid = || ApiError::refused(21626, format!("Invalid 'StatusCallbackEvent': {word}"));
        events.push(CallEvent::parse(word).ok_or_else(invalid)?);
    }
    Ok(if events.is_empty() { vec![CallEvent::Completed] } else { events })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NUMBERS: &str = "To=%2B15551234567&From=%2B15005550006";

    fn checked(form: &str) -> Result<CallSubmission, ApiError> {
        check(&Form::parse(form.as_bytes()), &["+15559990000".to_owned()])
    }

    fn code(form: &str) -> u32 {
        checked(form).unwrap_err().code
    }

    #[test]
    fn missing_and_invalid_fields_have_twilios_codes() {
        assert_eq!(code("From=%2B15005550006&Twiml=x"), 21201);
        assert_eq!(code("To=%2B15551234567&Twiml=x"), 21213);
        assert_eq!(code("To=123&From=%2B15005550006&Twiml=x"), 21211);
        assert_eq!(code(NUMBERS), 21205);
        assert_eq!(code(&format!("{NUMBERS}&Url=hello.xml")), 21205);
        assert_eq!(code(&format!("{NUMBERS}&Twiml={}", "x".repeat(4001))), 21658);
        assert_eq!(code(&format!("{NUMBERS}&ApplicationSid=AP1")), 21218);
        assert_eq!(code(&format!("{NUMBERS}&Twiml=x&MachineDetection=Maybe")), 21234);
        assert_eq!(code(&format!("{NUMBERS}&Twiml=x&StatusCallbackEvent=initiated+ringing")), 21626);
        assert_eq!(code(&format!("{NUMBERS}&Twiml=x&StatusCallback=nowhere")), 21609);
    }

    #[test]
    fn the_magic_numbers_are_refused() {
        let to = |number: &str| code(&format!("To=%2B{number}&From=%2B15005550006&Twiml=x"));
        let from = |number: &str| code(&format!("To=%2B15551234567&From=%2B{number}&Twiml=x"));

        assert_eq!(["15005550001", "15005550002", "15005550003", "15005550004"].map(to), [21217, 21214, 21215, 21216]);
        assert_eq!(["15005550001", "15005550007"].map(from), [21212, 21210]);
    }

    #[test]
    fn an_accounts_own_number_calls_with_a_url_twiml_or_an_application() {
        let own = "To=%2B15551234567&From=%2B15559990000";

        let url = checked(&format!("{own}&Url=https%3A%2F%2Fexample.com%2Fhello&Twiml=x")).unwrap();
        let twiml = checked(&format!("{own}&Twiml={}", "x".repeat(4000))).unwrap();
        let application = checked(&format!("{own}&ApplicationSid=AP{}", "0".repeat(32))).unwrap();

        assert_eq!((url.url.as_deref(), url.twiml), (Some("https://example.com/hello"), None));
        assert!(twiml.twiml.is_some());
        assert_eq!((application.url, application.twiml), (None, None));
    }

    #[test]
    fn without_a_wish_only_the_end_is_reported() {
        let default = checked(&format!("{NUMBERS}&Twiml=x")).unwrap();
        let chosen = checked(&format!("{NUMBERS}&Twiml=x&StatusCallbackEvent=ringing&StatusCallbackEvent=answered")).unwrap();

        assert_eq!(default.status_callback_events, [CallEvent::Completed]);
        assert_eq!(chosen.status_callback_events, [CallEvent::Ringing, CallEvent::Answered]);
    }
}
