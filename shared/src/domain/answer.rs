//! What a recipient answers to a reminder that asked: that they come, or that they want another time.
//!
//! Whether a text is an answer at all depends on what was asked, which the caller knows: `YES` is also Twilio's word
//! for opting in again, and [`super::consent`] reads it so.

use serde::{Deserialize, Serialize};

use super::consent::{self, ConsentSettings, Wish, normalised};

/// What a reminder that asks is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Confirmed,
    AnotherTime,
}

impl Answer {
    /// The API's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Confirmed => "confirmed",
            Answer::AnotherTime => "another_time",
        }
    }

    /// Normalised.
    fn usual_words(self) -> &'static [&'static str] {
        match self {
            Answer::Confirmed => &["c", "confirm", "confirmed"],
            Answer::AnotherTime => &["r", "reschedule", "re schedule", "another time"],
        }
    }
}

/// Normalised. They say yes to whatever was asked last, which may be something else.
const ASSENT: [&str; 6] = ["yes", "y", "yep", "yeah", "ok", "okay"];

/// What a text answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub answer: Answer,
    /// Only what was asked just before makes it an answer to that.
    pub is_assent: bool,
}

/// The words by which a tenant's contacts answer, and what they are asked and told. Part of the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AnswerSettings {
    /// What a reminder that asks ends with; the default text when absent.
    pub prompt: Option<String>,
    /// Further words that confirm, each the whole of a text.
    pub confirm_words: Vec<String>,
    /// Further words that ask for another time.
    pub another_time_words: Vec<String>,
    /// What is answered to who confirms; nothing when absent. It knows no variables, and neither does the next.
    pub confirmed_text: Option<String>,
    /// What is answered to who asks for another time; nothing when absent.
    pub another_time_text: Option<String>,
}

const DEFAULT_PROMPT: &str = "Reply C to confirm, R for another time.";

/// What `body` answers, if the whole of it is one of the words. A thumbs-up and a tick confirm as well.
pub fn read(body: &str, settings: &AnswerSettings) -> Option<Given> {
    let text = normalised(body);
    let is_word_for = |answer: &Answer| {
        let is_own = settings.own_words(*answer).iter().any(|word| normalised(word) == text);
        is_own || answer.usual_words().contains(&text.as_str())
    };
    match [Answer::Confirmed, Answer::AnotherTime].into_iter().find(is_word_for).filter(|_| !text.is_empty()) {
        Some(answer) => Some(Given { answer, is_assent: false }),
        None if ASSENT.contains(&text.as_str()) || (text.is_empty() && is_nod(body)) => {
            Some(Given { answer: Answer::Confirmed, is_assent: true })
        }
        None => None,
    }
}

impl AnswerSettings {
    pub fn prompt(&self) -> &str {
        self.prompt.as_deref().unwrap_or(DEFAULT_PROMPT)
    }

    /// What is answered to `answer`, if anything.
    pub fn text(&self, answer: Answer) -> Option<&str> {
        let text = match answer {
            Answer::Confirmed => &self.confirmed_text,
            Answer::AnotherTime => &self.another_time_text,
        };
        text.as_deref().filter(|text| !text.trim().is_empty())
    }

    /// # Errors
    /// A word that means nothing or two things at once: a sentence naming the field and the word.
    pub fn validate(&self) -> Result<(), String> {
        let fields = [
            ("answers.confirmWords", Answer::Confirmed, Answer::AnotherTime),
            ("answers.anotherTimeWords", Answer::AnotherTime, Answer::Confirmed),
        ];
        for (field, answer, other) in fields {
            for word in self.own_words(answer) {
                let text = normalised(word);
                if text.is_empty() {
                    return Err(format!("{field}: '{word}' has neither a letter nor a digit"));
                }
                let is_others = self.own_words(other).iter().any(|word| normalised(word) == text);
                let is_assent = other == Answer::Confirmed && ASSENT.contains(&text.as_str());
                if is_others || is_assent || other.usual_words().contains(&text.as_str()) {
                    return Err(format!("{field}: '{word}' also means the other answer"));
                }
                let wish = consent::read(word, &ConsentSettings::default(), None, false).wish;
                let is_start_as_well = text == "yes" && matches!(wish, Some((Wish::Start(_), _)));
                if wish.is_some() && !is_start_as_well {
                    return Err(format!("{field}: '{word}' already means an opt-out, an opt-in or a call for help"));
                }
            }
        }
        Ok(())
    }

    fn own_words(&self, answer: Answer) -> &[String] {
        match answer {
            Answer::Confirmed => &self.confirm_words,
            Answer::AnotherTime => &self.another_time_words,
        }
    }
}

/// 👍 or ✅ and nothing else, in whatever skin and however often.
fn is_nod(body: &str) -> bool {
    let is_beside =
        |c: char| c.is_whitespace() || matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{200d}' | '\u{1f3fb}'..='\u{1f3ff}' | '!' | '.');
    let mut seen = body.chars().filter(|&c| !is_beside(c)).peekable();
    seen.peek().is_some() && seen.all(|c| matches!(c, '👍' | '✅' | '☑' | '✔' | '👌'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usual(body: &str) -> Option<Answer> {
        read(body, &AnswerSettings::default()).map(|given| given.answer)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_word_alone_answers() {
        for body in [
            "C",
            "c",
            "C.",
            " c! \n",
            "“C”",
            "Confirm",
            "CONFIRMED",
            "yes",
            "Yes!",
            "Y",
            "ok",
            "OK 👍",
            "okay",
            "👍",
            "👍🏽",
            "✅",
            "✔️ ",
        ] {
            assert_eq!(usual(body), Some(Answer::Confirmed), "{body}");
        }
        for body in ["R", "r.", "RESCHEDULE", "re-schedule", "Another time", "another  time"] {
            assert_eq!(usual(body), Some(Answer::AnotherTime), "{body}");
        }
    }

    #[test]
    fn ok_is_about_whatever_was_asked_last() {
        let is_assent = |body: &str| read(body, &AnswerSettings::default()).map(|given| given.is_assent);
        for body in ["ok", "Yes!", "👍"] {
            assert_eq!(is_assent(body), Some(true), "{body}");
        }
        for body in ["C", "confirmed", "R"] {
            assert_eq!(is_assent(body), Some(false), "{body}");
        }
    }

    #[test]
    fn a_sentence_is_no_answer() {
        for body in [
            "",
            " ",
            "!",
            "I confirm",
            "C u there",
            "yes but later",
            "no",
            "N",
            "stop",
            "👎",
            "👍👎",
            "😀",
            "can we reschedule?",
            "CR",
        ] {
            assert_eq!(usual(body), None, "{body}");
        }
    }

    #[test]
    fn a_tenants_own_words_answer_too() {
        let settings = AnswerSettings {
            confirm_words: words(&["Sí", "I'll be there"]),
            another_time_words: words(&["Otro día"]),
            ..AnswerSettings::default()
        };

        assert_eq!(settings.validate(), Ok(()));
        assert_eq!(read("si!", &settings).map(|given| given.answer), Some(Answer::Confirmed));
        assert_eq!(read("Ill be there.", &settings).map(|given| given.answer), Some(Answer::Confirmed));
        assert_eq!(read("OTRO DIA", &settings).map(|given| given.answer), Some(Answer::AnotherTime));
        assert_eq!(read("c", &settings).map(|given| given.answer), Some(Answer::Confirmed));
    }

    #[test]
    fn words_that_mean_nothing_or_two_things_are_refused() {
        let with = |confirm: &[&str], another: &[&str]| AnswerSettings {
            confirm_words: words(confirm),
            another_time_words: words(another),
            ..AnswerSettings::default()
        };
        assert_eq!(with(&["Yes", "C", "coming"], &["later"]).validate(), Ok(()));
        for (settings, error) in [
            (with(&["?"], &[]), "answers.confirmWords: '?' has neither a letter nor a digit"),
            (with(&["R."], &[]), "answers.confirmWords: 'R.' also means the other answer"),
            (with(&["later"], &["Later"]), "answers.confirmWords: 'later' also means the other answer"),
            (with(&[], &["yes"]), "answers.anotherTimeWords: 'yes' also means the other answer"),
            (with(&[], &["Cancel"]), "answers.anotherTimeWords: 'Cancel' already means an opt-out, an opt-in or a call for help"),
            (with(&["start"], &[]), "answers.confirmWords: 'start' already means an opt-out, an opt-in or a call for help"),
        ] {
            assert_eq!(settings.validate(), Err(error.to_string()));
        }
    }

    #[test]
    fn a_tenant_may_ask_and_answer_in_its_own_words() {
        let usual = AnswerSettings::default();
        assert_eq!(usual.prompt(), "Reply C to confirm, R for another time.");
        assert_eq!(usual.text(Answer::Confirmed), None);
        assert_eq!(usual.validate(), Ok(()));

        let json = serde_json::json!({ "prompt": "OK?", "confirmedText": "See you!", "anotherTimeText": " " });
        let own: AnswerSettings = serde_json::from_value(json).unwrap();
        assert_eq!(own.prompt(), "OK?");
        assert_eq!(own.text(Answer::Confirmed), Some("See you!"));
        assert_eq!(own.text(Answer::AnotherTime), None);
        assert!(serde_json::from_str::<AnswerSettings>(r#"{"prompts":""}"#).is_err());
    }

    #[test]
    fn the_word_is_the_one_of_json() {
        for answer in [Answer::Confirmed, Answer::AnotherTime] {
            assert_eq!(serde_json::to_value(answer).unwrap(), answer.word());
            for word in answer.usual_words() {
                assert_eq!(normalised(word), *word);
                assert_eq!(usual(word), Some(answer));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(body: String) {
            usual(&body);
        }
    }
}
