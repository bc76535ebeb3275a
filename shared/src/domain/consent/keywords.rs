//! The words that ask for something when they are the whole of a text: Twilio's, ours, those of some languages, and
//! what people call the categories that may follow them. Sentences are read in `phrases`.
//!
//! Sources: the default words of Twilio's Advanced Opt-Out tutorial and support article 223134027; the words that
//! revoke by themselves, 47 CFR 64.1200(a)(10), 89 FR 15756; the words that AWS requires.

use std::collections::BTreeSet;

use crate::domain::contact::Category;

use super::{ConsentSettings, Language, Scope, Wish, normalised};

/// Words that mean something when they are the whole of a text, normalised.
struct Words {
    stop: &'static [&'static str],
    start: &'static [&'static str],
    help: &'static [&'static str],
}

impl Words {
    fn has(&self, text: &str) -> bool {
        self.wish(text).is_some()
    }

    fn wish(&self, text: &str) -> Option<Wish> {
        if self.stop.contains(&text) {
            Some(Wish::Stop(Scope::All))
        } else if self.start.contains(&text) {
            Some(Wish::Start(Scope::All))
        } else if self.help.contains(&text) {
            Some(Wish::Help)
        } else {
            None
        }
    }
}

/// Those that Twilio knows without being told.
const TWILIO: Words = Words {
    stop: &["stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"],
    start: &["start", "yes", "unstop"],
    help: &["help", "info"],
};

const OURS: Words = Words {
    stop: &["opt out", "remove", "unsub", "un subscribe"],
    start: &["opt in", "optin", "subscribe", "resubscribe"],
    help: &[],
};

impl Language {
    pub(super) const EVERY: [Self; 6] = [Self::Es, Self::Fr, Self::De, Self::Pt, Self::It, Self::Nl];

    /// Words that mean little else when they stand alone: the Spanish `si` or German `anmelden` are not among them.
    fn words(self) -> Words {
        match self {
            Self::Es => Words {
                stop: &["alto", "parar", "pare", "baja", "basta", "cancelar", "detener", "desuscribir", "no mas"],
                start: &["iniciar", "comenzar", "reanudar"],
                help: &["ayuda"],
            },
            Self::Fr => Words {
                stop: &["arret", "arrett", "arrete", "arreter", "stopper", "desabonner", "desabonnement", "desinscrire"],
                start: &["demarrer", "reprendre"],
                help: &["aide"],
            },
            Self::De => Words { stop: &["stopp", "abmelden", "abbestellen", "austragen"], start: &["starten"], help: &["hilfe"] },
            Self::Pt => Words {
                stop: &["pare", "parar", "sair", "cancelar", "descadastrar"],
                start: &["iniciar", "comecar"],
                help: &["ajuda"],
            },
            Self::It => {
                Words { stop: &["ferma", "basta", "cancella", "disiscrivi"], start: &["inizia", "riprendi"], help: &["aiuto"] }
            }
            Self::Nl => {
                Words { stop: &["afmelden", "stoppen", "uitschrijven"], start: &["starten", "hervatten"], help: &["hulp"] }
            }
        }
    }
}

/// What `text`, as [`listed`], asks for when the whole of it is a keyword.
pub(super) fn keyword(text: &str, settings: &ConsentSettings) -> Option<Wish> {
    if text.is_empty() {
        return None;
    }
    let words: Vec<&str> = text.split(' ').collect();
    word_alone(text, settings).or_else(|| with_categories(&words, settings))
}

/// Whether Twilio itself takes `body` for one of its words: with blanks around it, and nothing else.
pub(super) fn is_twilios(body: &str) -> bool {
    TWILIO.has(&body.trim().to_ascii_lowercase())
}

/// Whether `text`, as [`listed`], means a stop in one of the languages that we know, named by the tenant or not.
pub(super) fn is_stop_in_some_language(text: &str) -> bool {
    Language::EVERY.iter().any(|language| language.words().stop.contains(&text))
}

/// [`normalised`], with what separates the parts of a list as `and`, and letters that stand apart joined: `S.T.O.P.`.
pub(super) fn listed(text: &str) -> String {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let text = normalised(&text.replace([',', ';', '&', '+', '/'], " and "));
    let is_spelled = text.contains(' ') && text.split(' ').all(|word| word.chars().count() == 1);
    if is_spelled { text.replace(' ', "") } else { text }
}

fn word_alone(text: &str, settings: &ConsentSettings) -> Option<Wish> {
    let languages = settings.languages.iter().map(|language| language.words());
    let is_own = |words: &[String]| words.iter().any(|word| listed(word) == text);
    if let Some(wish) = [TWILIO, OURS].into_iter().chain(languages).find_map(|words| words.wish(text)) {
        Some(wish)
    } else if is_own(&settings.stop_words) {
        Some(Wish::Stop(Scope::All))
    } else if is_own(&settings.start_words) {
        Some(Wish::Start(Scope::All))
    } else if is_own(&settings.help_words) {
        Some(Wish::Help)
    } else {
        None
    }
}

/// Keywords that categories may follow, and that stay what they are in a polite sentence. `CANCEL` is none of them:
/// who cancels a lesson or an order wants just that.
pub(super) const COMBINING: [&str; 20] = [
    "stop",
    "unsubscribe",
    "unsub",
    "optout",
    "opt out",
    "start",
    "unstop",
    "subscribe",
    "resubscribe",
    "opt in",
    "alto",
    "parar",
    "pare",
    "arret",
    "arrete",
    "stopper",
    "stopp",
    "abbestellen",
    "ferma",
    "stoppen",
];

/// `stop lessons and payments`, `stop all`.
fn with_categories(words: &[&str], settings: &ConsentSettings) -> Option<Wish> {
    let (lead, wish) = [2, 1].into_iter().find_map(|length| {
        let lead = words.get(..length)?.join(" ");
        let wish = COMBINING.contains(&lead.as_str()).then(|| word_alone(&lead, settings))??;
        Some((length, wish))
    })?;
    let rest = words.get(lead..)?;
    let rest = if matches!(rest, ["from" | "of" | "to" | "de", ..]) { rest.get(1..)? } else { rest };
    let scope = match rest {
        [] => return None,
        _ if rest.iter().all(|word| is_one_of(EVERYTHING, word)) => Scope::All,
        ["all", rest @ ..] | rest => Scope::Only(categories(rest)?),
    };
    match wish {
        Wish::Stop(_) => Some(Wish::Stop(scope)),
        Wish::Start(_) => Some(Wish::Start(scope)),
        Wish::Help => None,
    }
}

/// The categories that `words` list, if they are nothing else.
///
/// `lesson reminders` are about lessons. Reminders by themselves are all reminders, and those of lessons and of
/// payments have categories of their own.
pub(super) fn categories(words: &[&str]) -> Option<BTreeSet<Category>> {
    let mut found = BTreeSet::new();
    let mut is_after_category = false;
    for word in words {
        is_after_category = match category_of(word) {
            Some(Category::Reminder) if is_after_category => true,
            Some(category) => {
                found.insert(category);
                true
            }
            None if is_after_category && is_one_of(MESSAGES, word) => true,
            None if is_one_of(AND, word) => false,
            None => return None,
        };
    }
    if found.contains(&Category::Reminder) {
        found.extend([Category::Lessons, Category::Payments]);
    }
    (!found.is_empty()).then_some(found)
}

/// What people call the categories, in the languages whose words we know.
const CATEGORIES: [(Category, &str); 9] = [
    (
        Category::Lessons,
        "lesson lessons class classes course courses clase clases leccion lecciones lecon lecons cours unterricht aula \
         aulas lezione lezioni lessen",
    ),
    (
        Category::Payments,
        "payment payments bill bills billing invoice invoices fee fees pago pagos factura facturas paiement paiements \
         zahlung zahlungen rechnung rechnungen pagamento pagamentos pagamenti betaling betalingen",
    ),
    (
        Category::Schedule,
        "schedule schedules scheduling change changes timetable calendar horario horarios horaire horaires stundenplan \
         orario orari rooster",
    ),
    (Category::Attendance, "attendance absence absences asistencia presence presences anwesenheit presenca presenze"),
    (
        Category::Marketing,
        "marketing promo promos promotion promotions promotional offer offers deal deals sale sales ad ads advert adverts \
         advertising advertisement advertisements newsletter newsletters coupon coupons discount discounts oferta ofertas \
         promocion promociones publicidad offre offres publicite werbung angebote promocoes publicidade offerte promozioni \
         pubblicita reclame aanbiedingen",
    ),
    (Category::Reservation, "reservation reservations booking bookings reserva reservas reservierung reservierungen"),
    (
        Category::Reminder,
        "reminder reminders appointment appointments recordatorio recordatorios rappel rappels erinnerung erinnerungen \
         lembrete lembretes promemoria herinnering herinneringen",
    ),
    (Category::Order, "order orders delivery deliveries pedido pedidos commande commandes bestellung bestellungen ordini"),
    (Category::General, "general announcement announcements news event events"),
];

pub(super) fn category_of(word: &str) -> Option<Category> {
    CATEGORIES.iter().find(|(_, words)| is_one_of(words, word)).map(|(category, _)| *category)
}

pub(super) fn is_one_of(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}

// Words of one kind, for phrases as well. All are normalised.

pub(super) const AND: &str = "and y et und e en or o";
pub(super) const EVERYTHING: &str = "all everything todo todos tout alles tudo tutto";
pub(super) const MESSAGES: &str = "message messages msg msgs text texts txt txts sms notification notifications alert alerts \
    update updates spam mensaje mensajes texto textos notificacion notificaciones";

#[cfg(test)]
mod tests {
    use super::super::phrases::POLITE;
    use super::super::tests::{english, only, words};
    use super::super::{Manner, Reading, category_word, read};
    use super::*;

    fn in_languages(body: &str, languages: &[Language]) -> Reading {
        read(body, &ConsentSettings { languages: languages.to_vec(), ..ConsentSettings::default() }, None, false)
    }

    #[test]
    fn twilios_words_are_twilios_only_as_twilio_matches_them() {
        for word in ["STOP", " stop \n", "StopAll", "unsubscribe", "CANCEL", "End", "quit", "REVOKE", "optout"] {
            assert_eq!(english(word), Reading::keyword(Wish::Stop(Scope::All), Manner::TwilioKeyword), "{word}");
        }
        for word in ["START", "yes", " Unstop"] {
            assert_eq!(english(word), Reading::keyword(Wish::Start(Scope::All), Manner::TwilioKeyword), "{word}");
        }
        for word in ["HELP", "info"] {
            assert_eq!(english(word), Reading::keyword(Wish::Help, Manner::TwilioKeyword), "{word}");
        }
    }

    #[test]
    fn a_keyword_is_one_whatever_surrounds_it() {
        for word in [
            "Stop.",
            "“STOP”",
            "'stop'",
            "STOP!!",
            "stop 🛑",
            "🛑 STOP \u{fe0f}",
            "ST\u{200b}OP",
            "\u{feff}stop",
            "(stop)",
            "stop,",
            "S.T.O.P.",
            "S T O P",
            "ＳＴＯＰ",
            "opt-out",
            "Opt  out",
            "OPT OUT",
            "Opt‑Out!",
            "REMOVE",
            "unsub",
            "stop all",
            "STOP EVERYTHING",
            "unsubscribe from all",
        ] {
            assert_eq!(english(word), Reading::keyword(Wish::Stop(Scope::All), Manner::Keyword), "{word}");
        }
        for word in ["Start!", "“yes”", "Yes 👍", "UNSTOP!", "opt in", "START ALL", "Subscribe"] {
            assert_eq!(english(word), Reading::keyword(Wish::Start(Scope::All), Manner::Keyword), "{word}");
        }
        for word in ["help?", "Info.", "¿HELP?"] {
            assert_eq!(english(word), Reading::keyword(Wish::Help, Manner::Keyword), "{word}");
        }
    }

    #[test]
    fn a_keyword_may_name_categories() {
        use Category::*;
        for (body, categories) in [
            ("STOP LESSONS", &[Lessons][..]),
            ("Stop lesson.", &[Lessons]),
            ("stop class messages", &[Lessons]),
            ("STOP LESSON REMINDERS", &[Lessons]),
            ("stop lessons and payments", &[Lessons, Payments]),
            ("stop lessons, payments & offers", &[Lessons, Payments, Marketing]),
            ("STOP: bills/attendance", &[Payments, Attendance]),
            ("UNSUBSCRIBE marketing", &[Marketing]),
            ("unsubscribe from all newsletters", &[Marketing]),
            ("opt-out of schedule changes", &[Schedule]),
            ("stop reservations", &[Reservation]),
            ("stop orders", &[Order]),
            ("stop announcements", &[General]),
            ("STOP REMINDERS", &[Reminder, Lessons, Payments]),
        ] {
            assert_eq!(english(body), Reading::keyword(Wish::Stop(only(categories)), Manner::Keyword), "{body}");
        }
        for (body, categories) in [("START LESSONS", &[Lessons][..]), ("start lessons und offers", &[Lessons, Marketing])] {
            assert_eq!(english(body), Reading::keyword(Wish::Start(only(categories)), Manner::Keyword), "{body}");
        }
    }

    #[test]
    fn what_people_call_a_category_is_known() {
        for (word, category) in [
            ("lessons", Category::Lessons),
            ("LESSON", Category::Lessons),
            ("class", Category::Lessons),
            ("Offers!", Category::Marketing),
            ("leçon", Category::Lessons),
            ("lección", Category::Lessons),
            ("Rechnungen", Category::Payments),
        ] {
            assert_eq!(category_word(word), Some(category), "{word}");
        }
        for category in Category::ALL {
            let is_known = CATEGORIES.iter().any(|(known, _)| *known == category);
            assert_eq!(is_known, category != Category::Authentication);
            assert_eq!(category_word(category.word()).is_some(), is_known);
        }
        for word in ["", "please", "codes", "authentication"] {
            assert_eq!(category_word(word), None, "{word}");
        }
    }

    #[test]
    fn no_word_means_two_categories() {
        let all: Vec<&str> = CATEGORIES.iter().flat_map(|(_, words)| words.split_ascii_whitespace()).collect();
        for (at, word) in all.iter().enumerate() {
            assert_eq!(normalised(word), **word);
            assert!(!all[at + 1..].contains(word), "{word}");
            assert!(!is_one_of(MESSAGES, word) && !is_one_of(AND, word) && !is_one_of(POLITE, word), "{word}");
        }
    }

    #[test]
    fn a_language_brings_its_words() {
        use Language::*;
        for (body, language) in [
            ("ALTO", Es),
            ("¡Baja!", Es),
            ("No más", Es),
            ("ARRÊT", Fr),
            ("arre\u{302}t", Fr),
            ("Désabonner", Fr),
            ("Stopp!", De),
            ("abmelden", De),
            ("SAIR", Pt),
            ("Basta", It),
            ("afmelden", Nl),
        ] {
            let stop = Reading::keyword(Wish::Stop(Scope::All), Manner::Keyword);
            assert_eq!(in_languages(body, &[language]), stop, "{body}");
            assert_eq!(in_languages(body, &[It, language]), stop, "{body}");
            assert!(english(body).review, "{body} in a language that was not named");
        }
        let lessons = Reading::keyword(Wish::Stop(only(&[Category::Lessons, Category::Payments])), Manner::Keyword);
        assert_eq!(in_languages("alto clases y pagos", &[Es]), lessons);
        assert_eq!(in_languages("ARRET cours et paiements", &[Fr]), lessons);
        assert_eq!(in_languages("stop Unterricht und Zahlungen", &[De]), lessons);
        for (body, language) in [("Ayuda", Es), ("aide", Fr), ("HILFE", De), ("ajuda", Pt), ("aiuto", It), ("hulp", Nl)] {
            assert_eq!(in_languages(body, &[language]), Reading::keyword(Wish::Help, Manner::Keyword), "{body}");
        }
        assert_eq!(in_languages("iniciar", &[Pt]), Reading::keyword(Wish::Start(Scope::All), Manner::Keyword));
    }

    #[test]
    fn the_words_of_languages_are_normalised_and_mean_one_thing() {
        let all = Language::EVERY.map(Language::words).into_iter().chain([TWILIO, OURS]).collect::<Vec<_>>();
        for words in &all {
            for word in words.stop.iter().chain(words.start).chain(words.help) {
                assert_eq!(listed(word), *word);
                let meanings: BTreeSet<String> =
                    all.iter().filter_map(|words| words.wish(word)).map(|w| format!("{w:?}")).collect();
                assert_eq!(meanings.len(), 1, "{word}: {meanings:?}");
            }
        }
    }

    #[test]
    fn a_tenants_own_words_are_keywords() {
        let settings = ConsentSettings {
            stop_words: words(&["No more!", "停止"]),
            start_words: words(&["Join us"]),
            help_words: words(&["Qué?"]),
            ..ConsentSettings::default()
        };
        for (body, wish) in [
            ("no more", Wish::Stop(Scope::All)),
            ("停止", Wish::Stop(Scope::All)),
            ("JOIN US.", Wish::Start(Scope::All)),
            ("que", Wish::Help),
        ] {
            assert_eq!(read(body, &settings, None, false), Reading::keyword(wish, Manner::Keyword), "{body}");
        }
    }
}
