//! What people ask for in a text: to stop, to start again, to be told how.
//!
//! Three ways, from sure to less sure. A keyword is the whole body: Twilio's default words, ours and the tenant's,
//! those of its languages, and one with categories (`STOP LESSONS`). A phrase is a sentence of English or Spanish
//! that a reasonable person reads as an opt-out: the law counts it as one. Whatever only sounds like a wish is left
//! to a person.
//!
//! Here is what a text says; `keywords` and `phrases` know the words, `settings` what a tenant adds to them, `answers`
//! what a wish is answered. What a reply to a reminder means, [`super::answer`] says; what follows from a wish is not
//! said here.

mod answers;
mod keywords;
mod phrases;
mod settings;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::contact::Category;

use self::keywords::{category_of, is_twilios, keyword, listed};
use self::phrases::phrase;

pub use self::answers::answer;
pub use self::settings::{ConsentSettings, Language};

/// What somebody asks for in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Stop(Scope),
    Start(Scope),
    Help,
}

/// What a wish is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    All,
    Only(BTreeSet<Category>),
}

/// How sure we are, and who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// The whole body is one of Twilio's own default words, which Twilio answers itself on SMS, or Twilio said so
    /// (`OptOutType`).
    TwilioKeyword,
    /// The whole body is a word of ours or the tenant's, or a keyword with categories: `STOP LESSONS`.
    Keyword,
    /// A sentence that a reasonable person reads as an opt-out. Obeyed, and shown to a person.
    Phrase,
}

/// What a text says about being messaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub wish: Option<(Wish, Manner)>,
    /// A person should look at it: a phrase was obeyed, or something sounds like a wish and was not taken for one.
    pub review: bool,
}

impl Reading {
    fn keyword(wish: Wish, manner: Manner) -> Self {
        Self { wish: Some((wish, manner)), review: false }
    }

    fn phrase(scope: Scope) -> Self {
        Self { wish: Some((Wish::Stop(scope), Manner::Phrase)), review: true }
    }

    fn flagged() -> Self {
        Self { wish: None, review: true }
    }
}

/// Reads `body`.
///
/// `opt_out_type` is what Twilio says it took the text for (`OptOutType`: STOP, START, HELP), which goes before our
/// own reading. YES does not opt in again at a toll-free number: only START and UNSTOP do.
pub fn read(body: &str, settings: &ConsentSettings, opt_out_type: Option<&str>, to_toll_free: bool) -> Reading {
    if let Some(wish) = opt_out_type.and_then(|word| wish_of_type(word.trim())) {
        return Reading::keyword(wish, Manner::TwilioKeyword);
    }
    let text = listed(body);
    if to_toll_free && text == "yes" {
        return Reading::default();
    }
    match keyword(&text, settings) {
        Some(wish) if is_twilios(body) => Reading::keyword(wish, Manner::TwilioKeyword),
        Some(wish) => Reading::keyword(wish, Manner::Keyword),
        None => phrase(body, settings),
    }
}

/// Whether `body` is YES and nothing else.
///
/// [`read`] takes it for START, as Twilio does, but it means that only from a number that has stopped, which the caller
/// knows. From any other it answers a question.
pub fn is_only_yes(body: &str) -> bool {
    normalised(body) == "yes"
}

/// The category that people mean by a word: `lessons`, `LESSON`, `class`, `offers`, …
///
/// Never [`Category::Authentication`]: one-time codes come when somebody asks for one.
pub fn category_word(word: &str) -> Option<Category> {
    category_of(&normalised(word))
}

/// The words of `text` in lower case, with single spaces between: all that two spellings of one thing share.
///
/// Without accents, apostrophes, punctuation, emoji and invisible characters: `“Don’t  STOP!!” 🛑` → `dont stop`.
pub(super) fn normalised(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for c in text.chars().flat_map(|c| narrow(c).to_lowercase()) {
        if is_dropped(c) {
            continue;
        }
        match folded(c) {
            Some(plain) => words.push_str(plain),
            None if c.is_alphanumeric() => words.push(c),
            None if words.ends_with(' ') => {}
            None => words.push(' '),
        }
    }
    words.trim().to_string()
}

/// `ＳＴＯＰ`, as a keyboard for East Asian scripts may write it, as `STOP`.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Apostrophes, combining accents, and what nobody sees.
fn is_dropped(c: char) -> bool {
    matches!(c, '\'' | '`' | '\u{b4}' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}')
        || matches!(c, '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}')
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || c == '\u{feff}'
}

/// A lower-case letter with an accent, without it.
fn folded(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'ī' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

fn wish_of_type(opt_out_type: &str) -> Option<Wish> {
    match opt_out_type.to_ascii_uppercase().as_str() {
        "STOP" => Some(Wish::Stop(Scope::All)),
        "START" => Some(Wish::Start(Scope::All)),
        "HELP" => Some(Wish::Help),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn english(body: &str) -> Reading {
        read(body, &ConsentSettings::default(), None, false)
    }

    pub(super) fn only(categories: &[Category]) -> Scope {
        Scope::Only(categories.iter().copied().collect())
    }

    pub(super) fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_twilio_took_a_text_for_goes_first() {
        let settings = ConsentSettings::default();
        for (body, word, wish) in [
            ("Basta ya", "STOP", Wish::Stop(Scope::All)),
            ("stop lessons", "STOP", Wish::Stop(Scope::All)),
            ("stop", "start", Wish::Start(Scope::All)),
            ("?", " HELP", Wish::Help),
        ] {
            let reading = read(body, &settings, Some(word), false);
            assert_eq!(reading, Reading::keyword(wish, Manner::TwilioKeyword), "{body}");
        }
        assert_eq!(read("stop", &settings, Some(""), false), english("stop"));
        assert_eq!(read("Hi", &settings, Some("NEW"), false), Reading::default());
    }

    #[test]
    fn yes_does_not_opt_in_at_a_toll_free_number() {
        let settings = ConsentSettings::default();
        assert_eq!(read("YES", &settings, None, true), Reading::default());
        assert_eq!(read("Yes!", &settings, None, true), Reading::default());
        for word in ["START", "unstop", "STOP", "HELP"] {
            assert_eq!(read(word, &settings, None, true), english(word));
        }
    }

    #[test]
    fn yes_is_only_yes_whatever_surrounds_it() {
        for body in ["yes", "YES", " Yes! ", "“yes”", "Yes 👍", "y\u{200b}es", "ＹＥＳ", "¡Yes!"] {
            assert!(is_only_yes(body), "{body}");
            assert!(matches!(english(body).wish, Some((Wish::Start(Scope::All), _))), "{body}");
        }
        for body in ["", "👍", "y", "yep", "yess", "yes please", "Yes, thank you!", "yes yes", "start", "START ALL", "no"] {
            assert!(!is_only_yes(body), "{body}");
        }
    }

    #[test]
    fn a_wish_survives_json() {
        for wish in [Wish::Help, Wish::Stop(Scope::All), Wish::Start(only(&[Category::Lessons]))] {
            let json = serde_json::to_string(&wish).unwrap();
            assert_eq!(serde_json::from_str::<Wish>(&json).unwrap(), wish, "{json}");
        }
        let json = serde_json::to_value(Wish::Stop(only(&[Category::Lessons]))).unwrap();
        assert_eq!(json, serde_json::json!({ "stop": { "only": ["lessons"] } }));
    }

    #[test]
    fn a_text_is_normalised_to_its_words() {
        for (text, words) in [
            ("  Don’t  STOP!! 🛑 ", "dont stop"),
            ("l'été à Nîmes", "lete a nimes"),
            ("Straße", "strasse"),
            ("¿Qué?", "que"),
            ("ＳＴＯＰ", "stop"),
            ("a-b_c", "a b c"),
            ("北京 明天", "北京 明天"),
            ("…", ""),
        ] {
            assert_eq!(normalised(text), words);
            assert_eq!(normalised(words), words);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(body in any::<String>(), opt_out_type in proptest::option::of(any::<String>()), toll_free: bool) {
            let settings = ConsentSettings { languages: Language::EVERY.to_vec(), ..ConsentSettings::default() };
            let reading = read(&body, &settings, opt_out_type.as_deref(), toll_free);
            if let Some((wish, manner)) = reading.wish {
                prop_assert_eq!(reading.review, manner == Manner::Phrase);
                prop_assert!(manner != Manner::Phrase || matches!(wish, Wish::Stop(_)));
            }
            prop_assert_eq!(normalised(&normalised(&body)), normalised(&body));
        }
    }
}
