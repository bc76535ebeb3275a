//! What is answered to a wish: the tenant's own text, or the default one. Whether an answer may go at all, and what it
//! costs, is not decided here.

use std::collections::BTreeSet;

use crate::domain::contact::Category;

use super::{ConsentSettings, Manner, Scope, Wish};

/// The characters of GSM-7 that one segment holds.
const SEGMENT: usize = 160;

/// `START LESSONS` and `Start!` mean something to us and nothing to Twilio: a block that it keeps since a STOP stays.
const IF_BLOCKED: &str = " If none arrive, text START.";

/// What is answered to a wish, if anything: `None` where Twilio has answered or the tenant wants silence.
///
/// `sms`: whether it came as SMS or MMS, for Twilio's default filter does not work on WhatsApp. Its Advanced Opt-Out
/// does, and says so by an `OptOutType`. A tenant's own text is about all messages; of some categories the default
/// text speaks, which names them.
pub fn answer(
    wish: &Wish,
    manner: Manner,
    settings: &ConsentSettings,
    name: &str,
    sms: bool,
    took_opt_out_type: bool,
) -> Option<String> {
    if took_opt_out_type || (manner == Manner::TwilioKeyword && sms && settings.twilio_answers) {
        return None;
    }
    let own = match wish {
        Wish::Stop(_) => &settings.stop_text,
        Wish::Start(_) => &settings.start_text,
        Wish::Help => &settings.help_text,
    };
    match (own.as_deref(), wish) {
        (Some(text), _) if text.trim().is_empty() => None,
        (Some(text), Wish::Stop(Scope::All) | Wish::Start(Scope::All) | Wish::Help) => Some(text.replace("{name}", name)),
        (_, Wish::Start(_)) if sms && manner == Manner::Keyword => Some(with_way_out(default_answer(wish, name))),
        _ => Some(default_answer(wish, name)),
    }
}

/// One segment, for a name of up to 30 characters of GSM-7.
fn default_answer(wish: &Wish, name: &str) -> String {
    match wish {
        Wish::Stop(Scope::All) => format!("{name}: you get no more messages from us. Reply START to get them again."),
        Wish::Stop(Scope::Only(categories)) => {
            about(categories, |topics| format!("{name}: you get no more messages about {topics}. Reply START to get them again."))
        }
        Wish::Start(Scope::All) => format!("{name}: you get our messages again. Reply STOP to get no more."),
        Wish::Start(Scope::Only(categories)) => about(categories, |topics| {
            format!("{name}: you get messages about {topics} again. Reply STOP to get no more messages.")
        }),
        Wish::Help => format!("{name}: reply STOP to get no more messages, START to get them again."),
    }
}

/// With what to do if Twilio still blocks, unless that makes it longer than a segment.
fn with_way_out(text: String) -> String {
    let whole = format!("{text}{IF_BLOCKED}");
    if whole.chars().count() > SEGMENT { text } else { whole }
}

/// A text that names the categories, unless that makes it longer than a segment.
fn about(categories: &BTreeSet<Category>, text: impl Fn(&str) -> String) -> String {
    let names: Vec<&str> = categories.iter().map(|category| topic(*category)).collect();
    let named = match names.as_slice() {
        [first @ .., second, last] => text(&[first, &[&format!("{second} and {last}")]].concat().join(", ")),
        few => text(&few.concat()),
    };
    if named.chars().count() > SEGMENT { text("these topics") } else { named }
}

fn topic(category: Category) -> &'static str {
    match category {
        Category::Lessons => "lessons",
        Category::Payments => "payments",
        Category::Schedule => "the schedule",
        Category::Attendance => "attendance",
        Category::Marketing => "offers",
        Category::Reservation => "reservations",
        Category::Reminder => "reminders",
        Category::Order => "orders",
        Category::Authentication => "codes",
        Category::General => "general news",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::only;
    use super::*;
    use crate::domain::segments::{Encoding, encoding, segments};

    const NAME: &str = "Bright Minds School of Boston!"; // 30 characters

    fn answered(wish: Wish) -> String {
        answer(&wish, Manner::Keyword, &ConsentSettings::default(), NAME, true, false).unwrap()
    }

    #[test]
    fn default_answers_fit_one_segment() {
        use Category::*;
        let stop = |categories: &[Category]| answered(Wish::Stop(only(categories)));

        assert_eq!(
            answered(Wish::Stop(Scope::All)),
            format!("{NAME}: you get no more messages from us. Reply START to get them again.")
        );
        assert_eq!(stop(&[Lessons]), format!("{NAME}: you get no more messages about lessons. Reply START to get them again."));
        assert!(stop(&[Lessons, Payments]).contains("about lessons and payments."));
        assert!(stop(&[Lessons, Payments, Reminder]).contains("about lessons, payments and reminders."));
        assert!(stop(&Category::ALL).contains("about these topics."));
        assert!(answered(Wish::Start(only(&[Marketing]))).contains("you get messages about offers again."));
        for count in 1..=Category::ALL.len() {
            for wish in [Wish::Stop, Wish::Start] {
                let text = answered(wish(only(&Category::ALL[..count])));
                assert_eq!((segments(&text), encoding(&text)), (1, Encoding::Gsm7), "{text}");
            }
        }
        for wish in [Wish::Stop(Scope::All), Wish::Start(Scope::All), Wish::Help] {
            let text = answered(wish);
            assert_eq!((segments(&text), encoding(&text)), (1, Encoding::Gsm7), "{text}");
            assert!(text.starts_with(NAME) && (text.contains("START") || text.contains("STOP")), "{text}");
        }
    }

    #[test]
    fn who_starts_by_a_word_that_twilio_does_not_know_is_told_the_one_it_does() {
        use Category::*;
        let default = ConsentSettings::default();
        let own_text = ConsentSettings { start_text: Some("Welcome back!".into()), ..ConsentSettings::default() };
        let start =
            |scope, manner, settings, sms| answer(&Wish::Start(scope), manner, settings, NAME, sms, false).unwrap_or_default();
        let twilio_is_silent = ConsentSettings { twilio_answers: false, ..ConsentSettings::default() };

        assert_eq!(
            start(Scope::All, Manner::Keyword, &default, true),
            format!("{NAME}: you get our messages again. Reply STOP to get no more. If none arrive, text START.")
        );
        for settings in [&default, &own_text] {
            assert_eq!(
                start(only(&[Lessons]), Manner::Keyword, settings, true),
                format!(
                    "{NAME}: you get messages about lessons again. Reply STOP to get no more messages. \
                     If none arrive, text START."
                )
            );
        }
        assert_eq!(start(Scope::All, Manner::Keyword, &own_text, true), "Welcome back!");
        for unblocked in [
            start(Scope::All, Manner::Keyword, &default, false),
            start(Scope::All, Manner::TwilioKeyword, &twilio_is_silent, true),
            answered(Wish::Stop(Scope::All)),
            answered(Wish::Help),
        ] {
            assert!(!unblocked.is_empty() && !unblocked.contains("If none arrive"), "{unblocked}");
        }
    }

    #[test]
    fn nobody_is_told_more_than_a_segment_holds() {
        let usual = "you get our messages again. Reply STOP to get no more.";
        let starts = |name: &str| {
            answer(&Wish::Start(Scope::All), Manner::Keyword, &ConsentSettings::default(), name, true, false).unwrap()
        };
        let longest = "é".repeat(160 - format!(": {usual}{IF_BLOCKED}").len());

        assert_eq!(starts(&longest), format!("{longest}: {usual}{IF_BLOCKED}"));
        assert_eq!(starts(&longest).chars().count(), 160);
        assert_eq!(starts(&format!("{longest}e")), format!("{longest}e: {usual}"));
    }

    #[test]
    fn a_tenants_text_is_answered_as_it_is() {
        let settings = ConsentSettings {
            stop_text: Some("Bye from {name}: {name}.".into()),
            start_text: Some(String::new()),
            ..ConsentSettings::default()
        };
        let answer = |wish| answer(&wish, Manner::Keyword, &settings, "Ana's", true, false);

        assert_eq!(answer(Wish::Stop(Scope::All)).as_deref(), Some("Bye from Ana's: Ana's."));
        assert_eq!(answer(Wish::Start(Scope::All)), None);
        assert_eq!(answer(Wish::Start(only(&[Category::Lessons]))), None);
        assert!(answer(Wish::Help).unwrap().starts_with("Ana's: reply STOP"));
        let of_lessons = answer(Wish::Stop(only(&[Category::Lessons]))).unwrap();
        assert!(of_lessons.contains("about lessons"), "a text about all messages would not be true: {of_lessons}");
    }

    #[test]
    fn nobody_is_answered_twice() {
        let twilio_is_silent = ConsentSettings { twilio_answers: false, ..ConsentSettings::default() };
        let answers = |manner, settings: &ConsentSettings, sms, took_opt_out_type| {
            answer(&Wish::Stop(Scope::All), manner, settings, NAME, sms, took_opt_out_type).is_some()
        };
        let usual = ConsentSettings::default();

        assert!(!answers(Manner::TwilioKeyword, &usual, true, false));
        assert!(answers(Manner::TwilioKeyword, &usual, false, false), "Twilio's filter does not work on WhatsApp");
        assert!(answers(Manner::TwilioKeyword, &twilio_is_silent, true, false));
        assert!(!answers(Manner::TwilioKeyword, &twilio_is_silent, true, true));
        assert!(!answers(Manner::TwilioKeyword, &usual, false, true), "Advanced Opt-Out does");
        assert!(answers(Manner::Keyword, &usual, true, false));
        assert!(answers(Manner::Phrase, &usual, true, false));
        assert!(answers(Manner::Phrase, &usual, false, false));
    }
}
