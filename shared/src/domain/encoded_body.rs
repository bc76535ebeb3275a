//! Bodies that arrive as base64: Twilio sometimes delivers a long concatenated SMS so (lessons B20).
//!
//! Recognised by what comes out: a text that people write. Whatever else is left as it came, for a body that stays
//! encoded can still be read later, and one that was decoded by mistake cannot.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Shorter ones are words and codes, and no concatenated SMS is so short.
const SHORTEST: usize = 24;

/// `body` as it was written, if it is base64 of a text; else as it is.
pub fn decoded(body: &str) -> Cow<'_, str> {
    bytes(body).and_then(text).filter(|text| is_written(text)).map_or(Cow::Borrowed(body), Cow::Owned)
}

/// The whole body in the standard alphabet, padded; nothing in it but line breaks.
fn bytes(body: &str) -> Option<Vec<u8>> {
    let encoded: String = body.trim().chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let fits = encoded.len() >= SHORTEST && encoded.len().is_multiple_of(4);
    let kinds: [fn(char) -> bool; 3] = [|c| c.is_ascii_lowercase(), |c| c.is_ascii_uppercase(), |c| !c.is_ascii_alphabetic()];
    let is_mixed = kinds.iter().filter(|is_kind| encoded.contains(**is_kind)).count() > 1;
    if fits && is_mixed { BASE64.decode(encoded).ok() } else { None }
}

/// UTF-8, or UTF-16 that says so by its byte order mark.
fn text(bytes: Vec<u8>) -> Option<String> {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
        if odd.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    match bytes.as_slice() {
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

/// Whether somebody may have written it: several words, or a script without spaces; nothing that is not printed, and
/// mostly not punctuation, as in JSON.
fn is_written(text: &str) -> bool {
    let count = |is_such: fn(char) -> bool| text.chars().filter(|&c| is_such(c)).count();
    let all = text.chars().count();
    let wordy = count(|c| c.is_alphanumeric() || c.is_whitespace() || !c.is_ascii());
    let has_words = text.split_whitespace().nth(1).is_some();
    let has_foreign_letters = count(|c| !c.is_ascii() && c.is_alphabetic()) * 2 > all;
    count(is_unprinted) == 0 && wordy * 4 >= all * 3 && (has_words || has_foreign_letters)
}

fn is_unprinted(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{f0000}'..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_encoded_text_is_decoded() {
        for text in [
            "Please stop sending me these messages",
            "Bannon Explains The World ...\n“The Camp of the Saints” & more",
            "Sí, señora: mañana a las 5 está bien, gracias 😀",
            "See you on 11/21/2026 at 3:00 PM, room 5!",
            "Да, мы придём завтра",
            "北京学校明天上课，请准时到校",
            "a b c d e f g h i j k l",
        ] {
            let encoded = BASE64.encode(text);
            assert_eq!(decoded(&encoded), text);
            assert_eq!(decoded(&format!("  {encoded}\r\n")), text);
            let (first, second) = encoded.split_at(16);
            assert_eq!(decoded(&format!("{first}\r\n{second}\n")), text);
        }
    }

    #[test]
    fn a_byte_order_mark_is_obeyed_and_dropped() {
        let text = "Ich komme morgen etwas später 😀";
        let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();

        assert_eq!(decoded(&BASE64.encode(big)), text);
        assert_eq!(decoded(&BASE64.encode(little)), text);
        assert_eq!(decoded(&BASE64.encode(format!("\u{feff}{text}"))), text);
    }

    #[test]
    fn anything_else_stays_as_it_is() {
        let html = BASE64.encode("<p><b></b></p> <i>{}</i>");
        let json = BASE64.encode(r#"{"alg": "HS256", "typ": "JWT"}"#);
        let binary = BASE64.encode([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0]);
        let control = BASE64.encode("a bell \u{7} rings in the text");
        let broken = BASE64.encode("Please stop sending me these messages");
        for body in [
            "",
            "YES",
            "abcd",
            "Thanks, see you there!",
            "Donaudampfschifffahrtsgesellschaft",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "123456789012345678901234",
            "https://brightminds.example/lessons/2026",
            "QWxhZGRpbjpvcGVuc2VzYW1l", // Aladdin:opensesame
            "QWxhZGRpbjpvcGVuc2VzYW1lIQ==",
            "SGkgdGhlcmUh", // "Hi there!", too short to be sure
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
            "5f2a9c0d7e1b4a3c8d6f0e9b2a1c4d5e",
            "AC0123456789abcdef0123456789abcdef00",
            &html,
            &json,
            &binary,
            &control,
            &broken[1..],
            &broken[..broken.len() - 1],
            &format!("{broken} ok"),
            &broken.replace('U', "-"),
        ] {
            assert!(matches!(decoded(body), Cow::Borrowed(same) if same == body), "{body}");
        }
    }

    proptest! {
        #[test]
        fn prose_is_never_changed(body in "[A-Za-z,.'!?é😀]{1,12}( [A-Za-z0-9,.'!?é😀]{1,12}){0,30}") {
            prop_assert_eq!(decoded(&body), body.as_str());
        }

        #[test]
        fn a_word_is_never_changed(body in "[A-Za-z]{1,40}") {
            prop_assert_eq!(decoded(&body), body.as_str());
        }

        #[test]
        fn an_encoded_sentence_comes_back(sentence in "[A-Za-zéñü]{4,9}( ([A-Za-zéñü]{3,9}|😀|👍🏽)){3,30}[.!?]?") {
            prop_assume!(sentence.len() > 15);
            let encoded = BASE64.encode(&sentence);
            prop_assert_eq!(decoded(&encoded), sentence);
        }

        #[test]
        fn any_text_can_be_decoded(body: String, bytes: Vec<u8>) {
            decoded(&body);
            decoded(&BASE64.encode(bytes));
        }
    }
}
