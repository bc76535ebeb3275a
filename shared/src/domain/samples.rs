//! Values that stand for variables, so that a template can be looked at before it goes to anybody.
//!
//! What is known anyway, such as the tenant's name, needs no sample: [`compose`] says what is missing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::compose::{FieldError, Known, Wish, compose};
use super::contact::attribute_key;
use super::message::MessageId;
use super::reminder::Kind;
use super::template::Template;
use super::tenant::{Settings, TenantId};

/// A number that is valid and nobody's, where something must have a recipient.
pub const ANYBODY: &str = "+12125550161";

/// `text` as it would read with samples for everything that is not known; as it was written if it never could.
pub fn with_samples(tenant: &TenantId, settings: &Settings, text: &Template, kind: Option<Kind>, now: Timestamp) -> String {
    let mut wish = Wish { to: Some(ANYBODY.into()), body: Some(text.as_str().to_string()), kind, ..Wish::default() };
    let id = MessageId::derive(tenant, &["sample"]);
    let body = |wish: &Wish| {
        let message = compose(settings, wish, Known::default(), id.clone(), "", now);
        message.map(|message| message.body.unwrap_or_default())
    };
    let filled = body(&wish).or_else(|errors| {
        wish.variables = of_missing(errors)?;
        body(&wish)
    });
    filled.unwrap_or_else(|_| text.as_str().to_string())
}

/// Samples for the variables that have no value.
///
/// # Errors
/// What else is wrong.
pub fn of_missing(errors: Vec<FieldError>) -> Result<BTreeMap<String, String>, Vec<FieldError>> {
    let (missing, others): (Vec<_>, Vec<_>) = errors.into_iter().partition(|error| error.code == "missing_variable");
    if !others.is_empty() {
        return Err(others);
    }
    let named = missing.iter().filter_map(|error| error.field.strip_prefix("variables."));
    Ok(named.map(|name| (name.to_string(), sample(name))).collect())
}

/// Dates and times as programs write them: they are written for people where they are filled in (S3-50).
fn sample(name: &str) -> String {
    let key = attribute_key(name);
    let known = match key.as_str() {
        "name" | "customername" | "studentname" | "contactname" => "John Smith", // S0-33
        "firstname" => "John",
        "lastname" => "Smith",
        "subject" => "Mathematics",                 // S0-34
        "teacher" | "teachername" => "Ms. Johnson", // S0-35
        "time" => "15:00",                          // S0-36
        "date" => "2024-01-15",                     // S0-37
        "amount" => "$150.00",                      // S0-38
        "course" | "coursename" => "English B1",    // S0-39
        "status" => "Present",                      // S0-40
        "originaltime" => "Mon, Jan 15 at 3:00 PM", // S0-41
        "newtime" => "Tue, Jan 16 at 4:00 PM",
        "day" => "tomorrow",
        "partysize" => "4",                    // S3-40
        "confirmationcode" => "K7P2Q9",        // S3-40
        "ordernumber" => "1042",               // S3-42
        "code" => "123456",                    // S3-44
        "promotiontext" => "Pizza week",       // S3-45
        "promocode" | "offercode" => "BACK20", // S3-45, D2
        "discount" => "20% off",               // S3-45, S3-52
        "offer" => "Get 20% off!",             // S2-22
        "pickuptime" => "18:30",               // S3-52
        "service" => "Sunday service",
        "event" => "Spring picnic",
        "place" | "location" => "Main hall",
        "role" => "usher",
        "reason" => "heavy snow",
        "phone" | "callbacknumber" => "(212) 555-0161",
        _ => return like(name, &key),
    };
    known.to_string()
}

/// By how a name ends; else the name itself, in words.
fn like(name: &str, key: &str) -> String {
    const ENDINGS: [(&str, &str); 13] = [
        ("date", "2024-01-15"),
        ("time", "15:00"),
        ("name", "John Smith"),
        ("code", "K7P2Q9"),
        ("number", "1042"),
        ("phone", "(212) 555-0161"),
        ("amount", "$150.00"),
        ("price", "$150.00"),
        ("total", "$150.00"),
        ("link", "https://example.com/a1b2"),
        ("url", "https://example.com/a1b2"),
        ("size", "4"),
        ("count", "4"),
    ];
    let ending = ENDINGS.iter().find(|(ending, _)| key.ends_with(ending));
    ending.map_or_else(|| name.replace('_', " "), |(_, sample)| (*sample).to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn filled(text: &str, kind: Option<Kind>) -> String {
        let tenant = TenantId::parse("t").unwrap();
        let settings =
            r#"{"name":"Pizza Palace","timeZone":"UTC","defaultRegion":"GB","strictNumbers":true,"budget":{"currency":"USD"}}"#;
        let settings: Settings = serde_json::from_str(settings).unwrap();
        with_samples(&tenant, &settings, &Template::parse(text).unwrap(), kind, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_texts_of_types_read_as_the_source_shows_them() {
        let text = "Hi {name}, reminder: You have {subject} lesson with {teacher} at {time} {day}.";

        let expected = "Hi John Smith, reminder: You have Mathematics lesson with Ms. Johnson at 3:00 PM tomorrow.";
        assert_eq!(filled(text, Some(Kind::LessonReminder)), expected); // S0-33..36, S0-42
        assert_eq!(
            filled("{amount} for {course} on {date}", Some(Kind::PaymentReminder)),
            "$150.00 for English B1 on Jan 15, 2024"
        );
        assert_eq!(filled("{status}", Some(Kind::Attendance)), "Present"); // S0-40
    }

    #[test]
    fn templates_write_dates_and_times_in_full() {
        assert_eq!(filled("{date} {time} {pickup_time}", None), "January 15, 2024 03:00 PM 06:30 PM"); // S3-50, S3-52
    }

    #[test]
    fn what_is_known_or_has_a_default_takes_no_sample() {
        assert_eq!(filled("{restaurant_name}: hi {customer_name|there}", None), "Pizza Palace: hi there");
    }

    #[test]
    fn a_name_that_nobody_knows_gets_something_that_looks_like_it() {
        let body = filled("{invoice_total} {delivery_date} {guest_code} {parking_spot}", None);
        assert_eq!(body, "$150.00 January 15, 2024 K7P2Q9 parking spot");
    }

    #[test]
    fn a_text_that_could_never_be_sent_stays_as_it_is_written() {
        let endless = format!("{{name}}{}", "x".repeat(1599));
        assert_eq!(filled(&endless, None), endless);
    }

    #[test]
    fn other_errors_are_told_before_samples_help() {
        let missing = FieldError::new("variables.name", "missing_variable", "…");
        let other = FieldError::new("to", "invalid_number", "…");

        assert_eq!(of_missing(vec![missing.clone(), other.clone()]), Err(vec![other]));
        assert_eq!(of_missing(vec![missing]), Ok(BTreeMap::from([("name".to_string(), "John Smith".to_string())])));
    }
}
