//! What a tenant adds to the words, and what it answers instead of the default texts: its settings, and whether they
//! make sense. What the words mean, `keywords` knows.

use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use super::keywords::{keyword, listed};
use super::{Scope, Wish};

/// Twilio's limit of a text, in UTF-16 units (21617).
const LONGEST_TEXT: usize = 1600;

/// A tenant's own words, and what it answers. Part of the tenant's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConsentSettings {
    /// Whose usual words are understood besides English ones.
    pub languages: Vec<Language>,
    /// Further words of opting out, each the whole of a text.
    pub stop_words: Vec<String>,
    /// Further words of opting in.
    pub start_words: Vec<String>,
    /// Further words of a call for help.
    pub help_words: Vec<String>,
    /// What is answered to an opt-out, with `{name}` for the tenant's; the default text when absent. An empty text answers
    /// nothing.
    pub stop_text: Option<String>,
    /// The same, to an opt-in.
    pub start_text: Option<String>,
    /// The same, to a call for help.
    pub help_text: Option<String>,
    /// Whether Twilio answers its own words on SMS and MMS, as it does unless its support switched that off.
    pub twilio_answers: bool,
}

impl Default for ConsentSettings {
    fn default() -> Self {
        Self {
            languages: Vec::new(),
            stop_words: Vec::new(),
            start_words: Vec::new(),
            help_words: Vec::new(),
            stop_text: None,
            start_text: None,
            help_text: None,
            twilio_answers: true,
        }
    }
}

/// A language whose usual words we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Es,
    Fr,
    De,
    Pt,
    It,
    Nl,
}

impl ConsentSettings {
    /// # Errors
    /// A word that means nothing or two things at once: a sentence naming the field and the word. A text longer than
    /// Twilio sends: a sentence naming the field.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_words()?;
        self.validate_texts()
    }

    fn validate_words(&self) -> Result<(), String> {
        let fields = [
            ("consent.stopWords", &self.stop_words, Wish::Stop(Scope::All)),
            ("consent.startWords", &self.start_words, Wish::Start(Scope::All)),
            ("consent.helpWords", &self.help_words, Wish::Help),
        ];
        let built_in = Self { languages: self.languages.clone(), ..Self::default() };
        for (field, words, means) in &fields {
            for word in *words {
                let text = listed(word);
                if text.is_empty() {
                    return Err(format!("{field}: '{word}' has neither a letter nor a digit"));
                }
                if keyword(&text, &built_in).is_some_and(|known| discriminant(&known) != discriminant(means)) {
                    return Err(format!("{field}: '{word}' already means something else"));
                }
                let is_it = |other: &String| listed(other) == text;
                if let Some((other, ..)) = fields.iter().find(|(other, words, _)| other != field && words.iter().any(is_it)) {
                    return Err(format!("{field}: '{word}' is also one of {other}"));
                }
            }
        }
        Ok(())
    }

    fn validate_texts(&self) -> Result<(), String> {
        let texts = [
            ("consent.stopText", &self.stop_text),
            ("consent.startText", &self.start_text),
            ("consent.helpText", &self.help_text),
        ];
        for (field, text) in texts {
            if text.as_ref().is_some_and(|text| text.encode_utf16().count() > LONGEST_TEXT) {
                return Err(format!("{field}: at most {LONGEST_TEXT} characters; emoji count as two"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::words;
    use super::*;

    #[test]
    fn words_that_mean_nothing_or_two_things_are_refused() {
        let with = |stop: &[&str], start: &[&str], help: &[&str]| ConsentSettings {
            languages: vec![Language::Es],
            stop_words: words(stop),
            start_words: words(start),
            help_words: words(help),
            ..ConsentSettings::default()
        };
        assert_eq!(ConsentSettings::default().validate(), Ok(()));
        assert_eq!(with(&["Enough", "stop"], &["Join", "yes"], &["who"]).validate(), Ok(()));
        for (settings, error) in [
            (with(&["!!!"], &[], &[]), "consent.stopWords: '!!!' has neither a letter nor a digit"),
            (with(&[""], &[], &[]), "consent.stopWords: '' has neither a letter nor a digit"),
            (with(&["Start!"], &[], &[]), "consent.stopWords: 'Start!' already means something else"),
            (with(&[], &["stop"], &[]), "consent.startWords: 'stop' already means something else"),
            (with(&[], &["Stop lessons"], &[]), "consent.startWords: 'Stop lessons' already means something else"),
            (with(&[], &["alto"], &[]), "consent.startWords: 'alto' already means something else"),
            (with(&[], &[], &["yes"]), "consent.helpWords: 'yes' already means something else"),
            (with(&["Enough"], &["enough!"], &[]), "consent.stopWords: 'Enough' is also one of consent.startWords"),
        ] {
            assert_eq!(settings.validate(), Err(error.to_string()));
        }
        let without_spanish = ConsentSettings { languages: Vec::new(), ..with(&[], &["alto"], &[]) };
        assert_eq!(without_spanish.validate(), Ok(()));
    }

    #[test]
    fn a_text_longer_than_twilio_sends_is_refused() {
        let with = |stop: &str, start: &str, help: &str| ConsentSettings {
            stop_text: Some(stop.into()),
            start_text: Some(start.into()),
            help_text: Some(help.into()),
            ..ConsentSettings::default()
        };
        let longest = format!("{}😀", "é".repeat(1598));
        let too_long = format!("{}😀", "é".repeat(1599));

        assert_eq!(with(&longest, &longest, &longest).validate(), Ok(()));
        assert_eq!(with("", "", "").validate(), Ok(()));
        for (settings, field) in [
            (with(&too_long, "", ""), "consent.stopText"),
            (with("", &too_long, ""), "consent.startText"),
            (with("", "", &too_long), "consent.helpText"),
        ] {
            assert_eq!(settings.validate(), Err(format!("{field}: at most 1600 characters; emoji count as two")));
        }
    }

    #[test]
    fn settings_are_camel_case_and_complete_without_a_field() {
        let none: ConsentSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(none, ConsentSettings::default());
        assert!(none.twilio_answers);

        let json = serde_json::json!({ "languages": ["es", "nl"], "stopWords": ["Enough"], "twilioAnswers": false });
        let some: ConsentSettings = serde_json::from_value(json).unwrap();
        assert_eq!(some.languages, [Language::Es, Language::Nl]);
        assert!(!some.twilio_answers);
        assert!(serde_json::from_str::<ConsentSettings>(r#"{"stopWord":[]}"#).is_err());
    }
}
