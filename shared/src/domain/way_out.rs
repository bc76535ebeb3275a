//! Whether a text says how to opt out (S1-57, S1-61).

use super::consent::{self, ConsentSettings, Language, Manner, Wish, normalised};

/// What says how to opt out wherever it stands, [`normalised`].
const WAYS_OUT: [&str; 16] = [
    "opt out",
    "optout",
    "unsubscribe",
    "unsub",
    "abmelden",
    "abbestellen",
    "afmelden",
    "uitschrijven",
    "desabonner",
    "desinscrire",
    "desuscribir",
    "desuscribirse",
    "darse de baja",
    "darte de baja",
    "descadastrar",
    "disiscrivi",
];

/// What one is asked to do with a keyword, in the languages whose keywords we know; [`normalised`].
const ANSWERING: [&str; 50] = [
    "reply",
    "respond",
    "answer",
    "text",
    "txt",
    "sms",
    "message",
    "send",
    "type",
    "write",
    "enter",
    "antworte",
    "antworten",
    "antwort",
    "sende",
    "senden",
    "schicke",
    "schicken",
    "schreibe",
    "schreiben",
    "repondez",
    "reponds",
    "repondre",
    "envoyez",
    "envoie",
    "envoyer",
    "ecrivez",
    "responde",
    "responda",
    "responder",
    "contesta",
    "conteste",
    "envia",
    "envie",
    "enviar",
    "manda",
    "escribe",
    "escriba",
    "escreva",
    "rispondi",
    "rispondere",
    "invia",
    "inviare",
    "scrivi",
    "antwoord",
    "beantwoord",
    "stuur",
    "verstuur",
    "sturen",
    "verzend",
];

/// What may stand between that and the keyword.
const BETWEEN: [&str; 28] = [
    "with", "the", "word", "to", "this", "us", "back", "a", "sie", "mit", "dem", "das", "wort", "uns", "avec", "le", "mot",
    "con", "la", "palabra", "com", "palavra", "parola", "met", "het", "woord", "nos", "ci",
];

/// Whether `body` says how to opt out: by a word for it, by `STOP` in capitals, or by asking for a keyword of ours
/// (`text stop`, `Antworte ABMELDEN`). To stop by for a while is none.
pub(super) fn has_opt_out_text(body: &str) -> bool {
    let said = format!(" {} ", normalised(body));
    WAYS_OUT.iter().any(|words| said.contains(&format!(" {words} "))) || asks_for_keyword(body)
}

fn asks_for_keyword(body: &str) -> bool {
    let plain: String = body.chars().filter(|c| !matches!(c, '\'' | '\u{2019}')).collect();
    plain.split(['.', '!', '?', '\n', '\r']).any(|sentence| {
        // With their hyphens: `non-stop` is another word.
        let words = sentence.split(|c: char| !c.is_alphanumeric() && !is_hyphen(c)).map(|word| word.trim_matches(is_hyphen));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        (0..words.len()).any(|at| is_keyword(&words, at))
    })
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}')
}

/// Whether the word at a place of a sentence is one to be answered with.
fn is_keyword(sentence: &[&str], at: usize) -> bool {
    let (before, rest) = sentence.split_at(at);
    let Some((word, after)) = rest.split_first() else { return false };
    let is_any =
        |words: &[&str], word: Option<&&str>| word.is_some_and(|word| words.iter().any(|w| w.eq_ignore_ascii_case(word)));
    let is_capital = word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
    if !word.eq_ignore_ascii_case("stop") {
        return is_capital && is_answer(before) && is_stop_word(word);
    }
    let is_asked = is_answer(before);
    let is_negated = is_any(&["dont", "cant", "wont", "never", "not", "non", "one"], before.last());
    let is_visit = is_any(&["by", "in", "at", "over", "into"], after.first());
    (is_capital || is_asked) && !is_negated && (!is_visit || is_capital && is_asked)
}

/// Whether what was said before asks for a word.
fn is_answer(before: &[&str]) -> bool {
    let words = before.iter().rev().map(|word| normalised(word));
    for word in words {
        if ANSWERING.contains(&word.as_str()) {
            return true;
        }
        if !BETWEEN.contains(&word.as_str()) {
            return false;
        }
    }
    false
}

/// Whether who answers `word` and nothing else opts out, in some language.
fn is_stop_word(word: &str) -> bool {
    let languages = vec![Language::Es, Language::Fr, Language::De, Language::Pt, Language::It, Language::Nl];
    let settings = ConsentSettings { languages, ..ConsentSettings::default() };
    let wish = consent::read(word, &settings, None, false).wish;
    matches!(wish, Some((Wish::Stop(_), Manner::Keyword | Manner::TwilioKeyword)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opt_out_text_is_found_as_a_whole_word() {
        for body in [
            "Reply STOP to unsubscribe.", // S1-61
            "text stop",
            "To opt out, call us.",
            "Opt-Out: reply END",
            "unsubscribe here",
            "Sale! STOP=no more",
            "Half price. STOP to end",
            "reply with the word \u{201c}stop\u{201d}",
            "Send 'Stop' to 12345",
            "Reply STOP by text",
            "reply END to leave",
            "Antworten Sie mit ABMELDEN",
            "Zum Abmelden: kurze Nachricht an uns",
            "Envoyez ARRÊT au 36111",
            "STOP au 36180",
            "Responda SAIR para cancelar",
            "Para darte de baja, llama",
        ] {
            assert!(has_opt_out_text(body), "{body}");
        }
        for body in [
            "",
            "Come to our stopover sale",
            "We have many options",
            "opt for out",
            "Stop by this weekend!",
            "STOP BY THIS WEEKEND!",
            "Stop in for a slice",
            "Text us and stop by",
            "Reply now and stop worrying",
            "Non-stop music",
            "NON-STOP MUSIC, NON STOP FUN",
            "Your one-stop shop",
            "Don\u{2019}t STOP dancing",
            "We never stop",
            "The END of summer",
            "Send this before the end of May",
            "Call us to cancel",
        ] {
            assert!(!has_opt_out_text(body), "{body}");
        }
    }
}
