//! What a preview says about a text before it costs money: what forces UCS-2, and what to reconsider.
//!
//! A warning never stops a message; whether one may go, [`super::policy`] decides.

use serde::Serialize;

use super::segments::{self, Encoding, is_gsm7};
use super::smart_encoding;
use super::way_out::has_opt_out_text;

/// A character that GSM-7 does not have, so that it makes the whole body UCS-2.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forcing {
    pub character: char,
    /// As Unicode writes it: `U+2019`.
    pub code_point: String,
    /// How often the body has it.
    pub count: u32,
    /// The look-alike of [`smart_encoding`]; empty for an invisible character that can simply go.
    pub replacement: Option<String>,
}

/// More different characters than this help nobody: the text is simply not in a Latin script.
const MOST_LISTED: usize = 50;

/// Every character of `body` outside GSM-7 once, in order of first appearance; the first 50 of them.
pub fn forcing_ucs2(body: &str) -> Vec<Forcing> {
    let mut found: Vec<Forcing> = Vec::new();
    for character in body.chars().filter(|&c| !is_gsm7(c)) {
        if let Some(known) = found.iter_mut().find(|known| known.character == character) {
            known.count += 1;
        } else if found.len() < MOST_LISTED {
            found.push(Forcing {
                character,
                code_point: format!("U+{:04X}", u32::from(character)),
                count: 1,
                replacement: replacement(character).map(str::to_string),
            });
        }
    }
    found
}

/// `body` with every character that has a look-alike in GSM-7 replaced, if there is one.
///
/// What has no look-alike stays, and keeps the body UCS-2.
pub fn with_replacements(body: &str) -> Option<String> {
    let mut replaced = String::with_capacity(body.len());
    for c in body.chars() {
        match replacement(c) {
            Some(to) => replaced.push_str(to),
            None => replaced.push(c),
        }
    }
    (replaced != body).then_some(replaced)
}

/// The look-alike of a character outside GSM-7 that is in it.
pub(super) fn replacement(c: char) -> Option<&'static str> {
    if is_gsm7(c) {
        return None;
    }
    smart_encoding::replacement(c).filter(|to| segments::encoding(to) == Encoding::Gsm7)
}

/// Something about a text that whoever sends it should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The body is billed as several segments (S0-106, D10).
    OverOneSegment,
    /// A character outside GSM-7 makes it cost more (S3-64).
    Ucs2,
    /// Marketing that does not say how to opt out (S1-57, S1-61).
    NoOptOutText,
    /// The tenant's name does not occur (S1-60).
    SenderNotNamed,
    /// It looks like spam: [`spam_triggers`] says why (S1-63).
    SpamTriggers,
    /// Spoken, it takes over 30 s (S1-65).
    SpeechTooLong,
    /// A call that names no number to call back (S1-67).
    NoCallBack,
    /// The recipient's number is possible but not valid (D1). Not of the text: [`warnings`] never has
    /// it, the preview adds it.
    NumberNotValid,
}

impl Warning {
    /// The API's word for it.
    pub fn code(self) -> &'static str {
        match self {
            Warning::OverOneSegment => "over_one_segment",
            Warning::Ucs2 => "ucs2",
            Warning::NoOptOutText => "no_opt_out_text",
            Warning::SenderNotNamed => "sender_not_named",
            Warning::SpamTriggers => "spam_triggers",
            Warning::SpeechTooLong => "speech_too_long",
            Warning::NoCallBack => "no_call_back",
            Warning::NumberNotValid => "number_not_valid",
        }
    }

    /// One sentence for the operator.
    pub fn text(self) -> &'static str {
        match self {
            Warning::OverOneSegment => "The text is longer than one segment, and every segment is charged.",
            Warning::Ucs2 => "The text has characters outside GSM-7: a segment holds 70 characters, not 160; it may cost more.",
            Warning::NoOptOutText => "A marketing text must say how to opt out, for example: Reply STOP to unsubscribe.",
            Warning::SenderNotNamed => "The text does not say who sends it: name your business.",
            Warning::SpamTriggers => "The text has words or marks that carriers take for spam, and may be filtered.",
            Warning::SpeechTooLong => "The spoken text takes longer than 30 seconds; people hang up before its end.",
            Warning::NoCallBack => "The spoken text gives no phone number to call back.",
            Warning::NumberNotValid => "The recipient's number is possible but not valid in its country: it may reach nobody.",
        }
    }
}

/// A rendered text, as far as warnings depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub body: &'a str,
    /// The text of a call.
    pub is_spoken: bool,
    pub is_marketing: bool,
    /// Billed by the segment: an SMS.
    pub is_segmented: bool,
    pub tenant_name: &'a str,
}

/// A spoken text should not take longer (S1-65).
const LONGEST_SPEECH_SECS: u32 = 30;

/// What to reconsider about a text, in the order of [`Warning`].
pub fn warnings(text: &Text<'_>) -> Vec<Warning> {
    let body = text.body;
    let checks = [
        (Warning::OverOneSegment, text.is_segmented && segments::segments(body) > 1),
        (Warning::Ucs2, text.is_segmented && segments::encoding(body) == Encoding::Ucs2),
        (Warning::NoOptOutText, text.is_marketing && !has_opt_out_text(body)),
        (Warning::SenderNotNamed, !is_named(text.tenant_name, body)),
        (Warning::SpamTriggers, !spam_triggers(body).is_empty()),
        (Warning::SpeechTooLong, text.is_spoken && speech_secs(body) > LONGEST_SPEECH_SECS),
        (Warning::NoCallBack, text.is_spoken && !has_phone_number(body)),
    ];
    checks.into_iter().filter(|&(_, applies)| applies).map(|(warning, _)| warning).collect()
}

/// Words and phrases that spam filters are known to weigh; compared word by word, without case and punctuation.
const TRIGGERS: [&str; 26] = [
    "100% free",
    "act now",
    "call now",
    "cash",
    "claim your",
    "click here",
    "click below",
    "congratulations",
    "double your",
    "earn money",
    "extra income",
    "free gift",
    "free money",
    "guaranteed",
    "limited time",
    "lottery",
    "make money",
    "no obligation",
    "once in a lifetime",
    "pre-approved",
    "prize",
    "risk-free",
    "urgent",
    "winner",
    "you have been selected",
    "you have won",
];
const SHOUTING: &str = "MOSTLY CAPITALS";
const EXCLAIMING: &str = "!!!";

/// What in `body` looks like spam (S1-63): the trigger words, then capitals and exclamation marks.
pub fn spam_triggers(body: &str) -> Vec<&'static str> {
    let words = words(body);
    let mut found: Vec<&'static str> = TRIGGERS.into_iter().filter(|trigger| has_phrase(&words, trigger)).collect();
    if is_shouting(body) {
        found.push(SHOUTING);
    }
    if body.contains("!!!") {
        found.push(EXCLAIMING);
    }
    found
}

/// More than 60 % of at least 20 letters are capitals. Only letters that have a case count.
fn is_shouting(body: &str) -> bool {
    let capitals = body.chars().filter(|c| c.is_uppercase()).count();
    let letters = capitals + body.chars().filter(|c| c.is_lowercase()).count();
    letters >= 20 && capitals * 100 > letters * 60
}

/// How many seconds it takes to say `text` slowly and clearly (S1-66): an estimate, at least 1.
///
/// 150 words a minute of 6 characters each, with their space, are 15 characters a second.
pub fn speech_secs(text: &str) -> u32 {
    let secs = text.trim().chars().count().div_ceil(15).max(1);
    u32::try_from(secs).unwrap_or(u32::MAX)
}

/// Words of many tenants' names: alone they name nobody.
const GENERIC: [&str; 24] = [
    "academy",
    "cafe",
    "center",
    "centre",
    "church",
    "club",
    "college",
    "community",
    "company",
    "dance",
    "english",
    "first",
    "grill",
    "house",
    "institute",
    "kitchen",
    "language",
    "learning",
    "lessons",
    "music",
    "restaurant",
    "saint",
    "school",
    "studio",
];

/// Whether `body` says the tenant's name: in full, run together (`brightminds.com`), or by the first
/// word of four letters or more that is not generic. A name without letters needs no naming.
pub(super) fn is_named(tenant_name: &str, body: &str) -> bool {
    let (name, words) = (words(tenant_name), words(body));
    let distinctive = name.iter().find(|word| is_distinctive(word));
    has_name(&name, &words) || distinctive.is_some_and(|word| words.contains(word))
}

/// Whether `body` says the tenant's name in full or run together, or begins with how it begins, as a sender does:
/// `Linden Street: …` of `Linden Street School of Music`. A word of it elsewhere names nobody: a pizza is for sale at many
/// a Pizza Palace.
pub(super) fn is_named_in_full(tenant_name: &str, body: &str) -> bool {
    let name = words(tenant_name);
    let label = body.split_once(':').map(|(front, _)| words(front)).unwrap_or_default();
    has_name(&name, &words(body)) || label.iter().any(|word| is_distinctive(word)) && name.starts_with(&label)
}

fn has_name(name: &[String], words: &[String]) -> bool {
    match name {
        [] => true,
        // Scripts that write no spaces have no words to compare; they are searched as they stand.
        [only] if only.is_ascii() => words.contains(only),
        _ => words.concat().contains(&name.concat()),
    }
}

fn is_distinctive(word: &str) -> bool {
    word.chars().count() >= 4 && !GENERIC.contains(&word)
}

/// The words in lower case, without punctuation: `St. Mark’s Café` → `st`, `marks`, `café`.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '\'' | '\u{2019}')).flat_map(char::to_lowercase).collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_string).collect()
}

/// Whether the words of `phrase` stand in `text` one after the other.
fn has_phrase(text: &[String], phrase: &str) -> bool {
    let phrase = words(phrase);
    !phrase.is_empty() && text.windows(phrase.len()).any(|run| run == phrase.as_slice())
}

/// A run of seven digits or more, whatever people write between them.
fn has_phone_number(text: &str) -> bool {
    let mut digits = 0;
    for c in text.chars() {
        match c {
            '0'..='9' => digits += 1,
            ' ' | '\u{a0}' | '-' | '\u{2011}' | '\u{2013}' | '.' | '(' | ')' | '[' | ']' => {}
            _ => digits = 0,
        }
        if digits >= 7 {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::segments::segments;

    const SMS: Text<'static> =
        Text { body: "", is_spoken: false, is_marketing: false, is_segmented: true, tenant_name: "Bright Minds School" };
    const CALL: Text<'static> = Text { is_spoken: true, is_segmented: false, ..SMS };

    #[test]
    fn forcing_characters_are_listed_once_in_order() {
        let forcing = forcing_ucs2("It’s “on” – it’s really on… 😀 for €5");

        let listed: Vec<_> =
            forcing.iter().map(|f| (f.character, f.code_point.as_str(), f.count, f.replacement.as_deref())).collect();
        assert_eq!(
            listed,
            [
                ('’', "U+2019", 2, Some("'")),
                ('“', "U+201C", 1, Some("\"")),
                ('”', "U+201D", 1, Some("\"")),
                ('–', "U+2013", 1, Some("-")),
                ('…', "U+2026", 1, Some("...")),
                ('😀', "U+1F600", 1, None),
            ]
        );
    }

    #[test]
    fn a_gsm7_body_forces_nothing() {
        assert_eq!(forcing_ucs2("Ünë {año} [10 €] ~ é\n"), [forcing("ë")]);
        assert_eq!(forcing_ucs2("Hi Ana, see you at 3:00 PM! ñ é ü Ω"), []);
        assert_eq!(forcing_ucs2(""), []);
    }

    fn forcing(character: &str) -> Forcing {
        let character = character.chars().next().unwrap();
        Forcing { character, code_point: format!("U+{:04X}", u32::from(character)), count: 1, replacement: None }
    }

    #[test]
    fn only_the_first_fifty_are_listed_and_all_of_them_counted() {
        let many: String = ('\u{4e00}'..='\u{4e60}').collect();

        let forcing = forcing_ucs2(&format!("{many}{many}"));

        assert_eq!(forcing.len(), 50);
        assert!(forcing.iter().all(|f| f.count == 2));
    }

    #[test]
    fn a_forcing_character_is_camel_case_in_json() {
        let json = serde_json::to_value(&forcing_ucs2("’")[0]).unwrap();

        assert_eq!(json, serde_json::json!({ "character": "’", "codePoint": "U+2019", "count": 1, "replacement": "'" }));
    }

    #[test]
    fn replacements_bring_a_body_back_to_one_segment() {
        let body = format!("It’s “on” – really… {}", "a".repeat(100));
        assert_eq!(segments(&body), 2);

        let replaced = with_replacements(&body).unwrap();

        assert!(replaced.starts_with("It's \"on\" - really... aaa"), "{replaced}");
        assert_eq!(segments(&replaced), 1);
        assert_eq!(forcing_ucs2(&replaced), []);
    }

    #[test]
    fn what_has_no_look_alike_stays() {
        assert_eq!(with_replacements("It’s 😀").as_deref(), Some("It's 😀"));
        assert_eq!(with_replacements("Hi 😀"), None);
        assert_eq!(with_replacements("plain é"), None);
        assert_eq!(with_replacements("un\u{200b}seen").as_deref(), Some("unseen"));
        assert_eq!(forcing_ucs2("un\u{200b}seen")[0].replacement.as_deref(), Some(""));
    }

    #[test]
    fn a_good_text_has_no_warnings() {
        let body = "Bright Minds: your lesson with Ms. Johnson is at 3:00 PM tomorrow.";
        assert_eq!(warnings(&Text { body, ..SMS }), []);

        let body = "Bright Minds: a new course starts. Reply STOP to unsubscribe.";
        assert_eq!(warnings(&Text { body, is_marketing: true, ..SMS }), []);

        let body = "This is Bright Minds School. Call us back at (212) 555-0161.";
        assert_eq!(warnings(&Text { body, ..CALL }), []);
    }

    #[test]
    fn warnings_come_in_a_fixed_order() {
        use Warning::*;

        let body = format!("ACT NOW – you are a winner!!! {}", "é, ".repeat(200));

        let sms = warnings(&Text { body: &body, is_marketing: true, ..SMS });
        let call = warnings(&Text { body: &body, is_marketing: true, ..CALL });

        assert_eq!(sms, [OverOneSegment, Ucs2, NoOptOutText, SenderNotNamed, SpamTriggers]);
        assert_eq!(call, [NoOptOutText, SenderNotNamed, SpamTriggers, SpeechTooLong, NoCallBack]);
    }

    #[test]
    fn more_than_160_characters_are_more_than_one_segment() {
        let at_the_limit = format!("Bright Minds {}", "a".repeat(147));
        let over = format!("{at_the_limit}a");

        assert_eq!(warnings(&Text { body: &at_the_limit, ..SMS }), []);
        assert_eq!(warnings(&Text { body: &over, ..SMS }), [Warning::OverOneSegment]); // S0-106, D10
        assert_eq!(warnings(&Text { body: &over, is_segmented: false, ..SMS }), []);
    }

    #[test]
    fn a_sender_is_named_in_full_or_in_front() {
        for (name, body) in [
            ("Pizza Palace", "pizza palace has news"),
            ("Pizza Palace", "See pizzapalace.com"),
            ("Linden Street School of Music", "Linden: come on Sunday"),
            ("Linden Street School of Music", "Linden Street: come on Sunday"),
            ("Joe's Pizza", "JOE\u{2019}S PIZZA: ready"),
            ("\u{5317}\u{4eac}\u{5b66}\u{6821}", "\u{3010}\u{5317}\u{4eac}\u{5b66}\u{6821}\u{3011}\u{660e}"),
            ("", "anything"),
        ] {
            assert!(is_named_in_full(name, body), "{name}: {body}");
        }
        for (name, body) in [
            ("Pizza Palace", "Half price on every pizza"),
            ("Pizza Palace", "Sale at the palace: pizza for two"),
            ("Linden Street School of Music", "New: lessons in Linden Street"),
            ("Music School", "Music: at six"),
            ("Pizza Palace", ""),
        ] {
            assert!(!is_named_in_full(name, body), "{name}: {body}");
        }
    }

    #[test]
    fn a_sender_is_named_without_case_and_punctuation() {
        for (name, body) in [
            ("Bright Minds School", "bright minds: see you"),
            ("Bright Minds School", "from your friends at BRIGHT"),
            ("First Baptist Church", "Baptist youth meets at 7"),
            ("Joe's Pizza", "JOE’S PIZZA: ready"),
            ("Joe's Pizza", "see joespizza.com"),
            ("St. Mark's", "St Marks: choir at 6"),
            ("Art", "Your class at ART is on"),
            ("Music School", "The Music School is closed"),
            ("北京学校", "【北京学校】明天上课"),
            ("", "anything"),
            ("!!!", "anything"),
        ] {
            assert!(is_named(name, body), "{name}: {body}");
        }
        for (name, body) in [
            ("Bright Minds School", "your school is closed"),
            ("Bright Minds School", ""),
            ("Music School", "music lesson at school"),
            ("Art", "we start at 9"),
            ("Joe's Pizza", "Joe says hi"),
        ] {
            assert!(!is_named(name, body), "{name}: {body}");
        }
    }

    #[test]
    fn spam_triggers_are_named() {
        assert_eq!(spam_triggers("Click here! Free money, RISK FREE"), ["click here", "free money", "risk-free"]);
        assert_eq!(spam_triggers("Guaranteed winner of cash"), ["cash", "guaranteed", "winner"]);
        assert_eq!(spam_triggers("100% free for a limited time"), ["100% free", "limited time"]);
        assert_eq!(spam_triggers("It’s urgent"), ["urgent"]);
        assert_eq!(spam_triggers("Wow!!! See you"), ["!!!"]);
        assert_eq!(spam_triggers("THIS IS THE VERY LAST DAY ok"), ["MOSTLY CAPITALS"]);
    }

    #[test]
    fn ordinary_texts_trigger_nothing() {
        for body in [
            "",
            "The cashier is winnerless!!",
            "YES! SEE YOU THERE", // under 20 letters
            "Reply STOP to unsubscribe from THIS SCHOOL",
            "北京学校明天上课北京学校明天上课北京学校明天上课",
        ] {
            assert_eq!(spam_triggers(body), Vec::<&str>::new(), "{body}");
        }
    }

    #[test]
    fn speech_takes_fifteen_characters_a_second() {
        assert_eq!(speech_secs(""), 1);
        assert_eq!(speech_secs("Hi"), 1);
        assert_eq!(speech_secs(&"a".repeat(15)), 1);
        assert_eq!(speech_secs(&"é".repeat(16)), 2);
        assert_eq!(speech_secs(&"a".repeat(450)), 30);
        assert_eq!(speech_secs(&"a".repeat(451)), 31);
    }

    #[test]
    fn a_call_back_number_has_seven_digits() {
        for text in ["Call 5551234", "Call (212) 555-0161.", "+1 212.555.0161", "[555] 12 34"] {
            assert!(has_phone_number(text), "{text}");
        }
        for text in ["", "at 3:00 PM on 11/21", "room 555, code 1234", "Call 555123"] {
            assert!(!has_phone_number(text), "{text}");
        }
    }

    #[test]
    fn every_warning_has_a_code_and_a_sentence() {
        use Warning::*;
        let all = [OverOneSegment, Ucs2, NoOptOutText, SenderNotNamed, SpamTriggers, SpeechTooLong, NoCallBack, NumberNotValid];
        for (at, warning) in all.iter().enumerate() {
            assert!(warning.code().chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()));
            assert!(warning.text().ends_with('.'));
            assert!(all[at + 1..].iter().all(|other| other.code() != warning.code()));
        }
    }
}
