//! What people ask for in a text: to stop, to start again, to be told how.
//!
//! Three ways, from sure to less sure. A keyword is the whole body: Twilio's default words, ours and the tenant's,
//! those of its languages, and one with categories (`STOP LESSONS`). A phrase is a sentence of English or Spanish
//! that a reasonable person reads as an opt-out: the law counts it as one. Whatever only sounds like a wish is left
//! to a person. What a reply to a reminder means, [`super::answer`] says; what follows from a wish is not said here.
//!
//! Sources: the default words of Twilio's Advanced Opt-Out tutorial and support article 223134027; the words that
//! revoke by themselves and "any reasonable means", 47 CFR 64.1200(a)(10), 89 FR 15756; the words that AWS requires.

use std::collections::BTreeSet;
use std::mem::discriminant;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::contact::Category;

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

/// A tenant's own words, and what it answers. Part of the tenant's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConsentSettings {
    /// Whose usual words are understood besides English ones.
    pub languages: Vec<Language>,
    /// Further words, each the whole of a text.
    pub stop_words: Vec<String>,
    pub start_words: Vec<String>,
    pub help_words: Vec<String>,
    /// What is answered, with `{name}` for the tenant's; the default text when absent. An empty text answers nothing.
    pub stop_text: Option<String>,
    pub start_text: Option<String>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Es,
    Fr,
    De,
    Pt,
    It,
    Nl,
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
        Some(wish) if TWILIO.has(&body.trim().to_ascii_lowercase()) => Reading::keyword(wish, Manner::TwilioKeyword),
        Some(wish) => Reading::keyword(wish, Manner::Keyword),
        None => phrase(body, settings),
    }
}

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
        _ => Some(default_answer(wish, name)),
    }
}

impl ConsentSettings {
    /// # Errors
    /// A word that means nothing or two things at once: a sentence naming the field and the word.
    pub fn validate(&self) -> Result<(), String> {
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
}

/// The category that people mean by a word: `lessons`, `LESSON`, `class`, `offers`, …
///
/// Never [`Category::Authentication`]: one-time codes come when somebody asks for one.
pub fn category_word(word: &str) -> Option<Category> {
    category_of(&normalised(word))
}

/// The words of `text` in lower case, with single spaces between: all that two spellings of one thing share.
///
/// Whether the whole of `body` is YES.
pub fn is_only_yes(body: &str) -> bool {
    normalised(body) == "yes"
}

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

/// [`normalised`], with what separates the parts of a list as `and`, and letters that stand apart joined: `S.T.O.P.`.
fn listed(text: &str) -> String {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let text = normalised(&text.replace([',', ';', '&', '+', '/'], " and "));
    let is_spelled = text.contains(' ') && text.split(' ').all(|word| word.chars().count() == 1);
    if is_spelled { text.replace(' ', "") } else { text }
}

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
    const EVERY: [Self; 6] = [Self::Es, Self::Fr, Self::De, Self::Pt, Self::It, Self::Nl];

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

fn wish_of_type(opt_out_type: &str) -> Option<Wish> {
    match opt_out_type.to_ascii_uppercase().as_str() {
        "STOP" => Some(Wish::Stop(Scope::All)),
        "START" => Some(Wish::Start(Scope::All)),
        "HELP" => Some(Wish::Help),
        _ => None,
    }
}

/// What `text`, as [`listed`], asks for when the whole of it is a keyword.
fn keyword(text: &str, settings: &ConsentSettings) -> Option<Wish> {
    if text.is_empty() {
        return None;
    }
    let words: Vec<&str> = text.split(' ').collect();
    word_alone(text, settings).or_else(|| with_categories(&words, settings))
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
const COMBINING: [&str; 20] = [
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
fn categories(words: &[&str]) -> Option<BTreeSet<Category>> {
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

fn category_of(word: &str) -> Option<Category> {
    CATEGORIES.iter().find(|(_, words)| is_one_of(words, word)).map(|(category, _)| *category)
}

fn is_one_of(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}

/// Longer texts say what they say to a person: none of their phrases is obeyed.
const LONGEST_PHRASE: usize = 160;

/// In texts of more words, a word such as `cancel` is in passing.
const FEW_WORDS: usize = 10;

/// Twilio's bodies have at most 1600 characters.
const LONGEST_BODY: usize = 1600;

/// Reads what is no keyword.
fn phrase(body: &str, settings: &ConsentSettings) -> Reading {
    let is_long = body.chars().nth(LONGEST_PHRASE).is_some();
    let body: String = body.chars().take(LONGEST_BODY).collect();
    let own = without_quotes(&body);
    let text = listed(&own);
    let words: Vec<&str> = text.split(' ').collect();
    let core = without_politeness(&words);

    if !is_long && let Some(reading) = whole(core, settings) {
        return reading;
    }

    // What somebody quotes is not obeyed: `I said "stop texting me"`.
    let mut is_doubtful = own != body
        && clauses(&body)
            .any(|(clause, is_question)| matches!(heard(&clause.split(' ').collect::<Vec<_>>(), is_question), Heard::OptOut(_)));
    for (clause, is_question) in clauses(&own) {
        let clause: Vec<&str> = clause.split(' ').collect();
        match heard(&clause, is_question) {
            Heard::OptOut(scope) if !is_long => return Reading::phrase(scope),
            Heard::OptOut(_) | Heard::Doubt => is_doubtful = true,
            Heard::Nothing => {
                is_doubtful |= is_flagged(&FLAGGED, &clause);
                is_doubtful |= words.len() <= FEW_WORDS && is_flagged(&FLAGGED_WHEN_SHORT, &clause);
            }
        }
    }
    if is_doubtful { Reading::flagged() } else { Reading::default() }
}

/// What a text says that is a keyword but for some words of politeness or impatience: `please stop`, `stop it now`.
fn whole(core: &[&str], settings: &ConsentSettings) -> Option<Reading> {
    let text = core.join(" ");
    let is_combining = |lead: &&str| text.strip_prefix(lead).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    match keyword(&text, settings) {
        Some(Wish::Stop(scope)) if COMBINING.iter().any(is_combining) => return Some(Reading::phrase(scope)),
        Some(_) if text == "yes" => return Some(Reading::default()),
        Some(_) => return Some(Reading::flagged()),
        None => {}
    }
    let squeezed: Vec<String> = core.iter().map(|word| squeezed(word)).collect();
    let squeezed: Vec<&str> = squeezed.iter().map(String::as_str).collect();
    if INSISTENT.iter().any(|pattern| matched(pattern, &squeezed).is_some()) {
        return Some(Reading::phrase(Scope::All));
    }
    if UNCLEAR.iter().any(|pattern| matched(pattern, core).is_some()) {
        return Some(Reading::flagged());
    }
    // A word of a language that the tenant did not name.
    Language::EVERY.iter().any(|language| language.words().stop.contains(&text.as_str())).then(Reading::flagged)
}

/// `stoooop` → `stop`: a letter three times or more is meant once.
fn squeezed(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    letters.chunk_by(|a, b| a == b).flat_map(|run| if run.len() > 2 { &run[..1] } else { run }).collect()
}

const OPENING_MARKS: [char; 4] = ['"', '\u{201c}', '\u{201e}', '\u{ab}'];
const CLOSING_MARKS: [char; 4] = ['"', '\u{201d}', '\u{201c}', '\u{bb}'];

/// Without the lines that quote, a phone's signature, and what stands in quotation marks beside words of one's own:
/// `Liked “Your lesson is at 5. Reply STOP to opt out”`.
fn without_quotes(body: &str) -> String {
    let is_own = |line: &&str| !line.trim_start().starts_with('>') && !normalised(line).starts_with("sent from my ");
    let body = body.lines().filter(is_own).collect::<Vec<_>>().join("\n");
    let mut own = String::with_capacity(body.len());
    let mut rest = body.as_str();
    while let Some((before, quoted)) = rest.split_once(OPENING_MARKS) {
        let is_straight = rest.get(before.len()..).is_some_and(|mark| mark.starts_with('"'));
        let (inside, after) = match quoted.split_once(CLOSING_MARKS) {
            Some((inside, after)) if normalised(inside).split(' ').count() > 2 => ("", after),
            Some((inside, after)) => (inside, after),
            // One straight mark may mean inches. Of the other kind, a phone cuts the second with a long text.
            None if is_straight => (quoted, ""),
            None => ("", ""),
        };
        own.extend([before, " ", inside, " "]);
        rest = after;
    }
    own.push_str(rest);
    if normalised(&own).is_empty() { body } else { own }
}

/// What stands between marks that end a thought, normalised, and whether it asks.
fn clauses(text: &str) -> impl Iterator<Item = (String, bool)> {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | ',' | ';' | ':' | '\n' | '(' | ')' | '…' | '–' | '—');
    let parts = text.split_inclusive(ends).flat_map(|part| part.split(" - "));
    parts.map(|part| (without_oaths(part), part.ends_with('?'))).filter(|(clause, _)| !clause.is_empty())
}

/// [`normalised`], so that who swears is understood like who does not.
fn without_oaths(text: &str) -> String {
    normalised(text).split(' ').filter(|word| !is_one_of(OATHS, word)).collect::<Vec<_>>().join(" ")
}

fn without_politeness<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    let is_polite = |word: &&str| is_one_of(POLITE, word) || is_one_of(AND, word);
    let start = words.iter().position(|word| !is_polite(word)).unwrap_or(words.len());
    let end = words.iter().rposition(|word| !is_polite(word)).map_or(start, |last| last + 1);
    words.get(start..end).unwrap_or_default()
}

// Words of one kind, which patterns name in capitals. All are normalised.

const AND: &str = "and y et und e en or o";
const EVERYTHING: &str = "all everything todo todos tout alles tudo tutto";
const POLITE: &str = "please pls plz plse kindly thanks thank you thx ty hi hello hey ok okay sir madam maam por favor \
    gracias hola svp merci bitte danke";
const OATHS: &str = "fucking fuckin fkn fckn effing freaking frickin damn goddamn bloody";
const MESSAGES: &str = "message messages msg msgs text texts txt txts sms notification notifications alert alerts update \
    updates spam mensaje mensajes texto textos notificacion notificaciones";
/// What is sent, though its name is a category.
const SENT: &str = "promo promos promotion promotions offers deals ads newsletter newsletters reminder reminders marketing \
    ofertas promociones publicidad recordatorio recordatorios";
const WHICH: &str = "the this that these those your ur youre all any more anymore of further other another text sms mas \
    estos esos los las tus sus de";
const ME: &str = "me us";
const TEXT: &str = "text txt message msg contact sms whatsapp spam bother harass write";
const TEXTING: &str = "texting txting textin messaging msging contacting spamming bothering harassing bugging pestering";
const SENDING: &str = "sending sendin giving";
const STOP: &str = "stop stopp quit cease discontinue";
const LIST: &str = "the this that your ur all any of mailing texting text sms messaging message messages contact contacts \
    phone calling marketing distribution notification su la esta tu";
const NOW: &str = "now please pls plz immediately asap today right away at once thanks thank you already again anymore any \
    more ok all this ever and";
const IMPATIENT: &str = "stop just now i said ok yes no and thanks thank text txt reply send type again seriously told asked \
    you u to";

/// Whether `word` is what a pattern allows in one place: words and kinds of words, separated by `|`.
fn fits(allowed: &str, word: &str) -> bool {
    allowed.split('|').any(|part| match part {
        "MESSAGES" => is_one_of(MESSAGES, word),
        "SENT" => is_one_of(MESSAGES, word) || is_one_of(SENT, word),
        "WHICH" => is_one_of(WHICH, word) || is_one_of(AND, word) || category_of(word).is_some(),
        "ME" => is_one_of(ME, word),
        "TEXT" => is_one_of(TEXT, word),
        "TEXTING" => is_one_of(TEXTING, word),
        "SENDING" => is_one_of(SENDING, word),
        "STOP" => is_one_of(STOP, word),
        "LIST" => is_one_of(LIST, word),
        "NOW" => is_one_of(NOW, word),
        "IMPATIENT" => is_one_of(IMPATIENT, word),
        "EVERYTHING" => is_one_of(EVERYTHING, word),
        plain => plain == word,
    })
}

/// How many words at the beginning of `words` are what `pattern` describes.
///
/// A pattern is one place a word: `?` after it says that the word may be missing, `*` that it may be repeated or
/// missing, and `$` is the end.
fn matched(pattern: &str, words: &[&str]) -> Option<usize> {
    let (place, rest) = pattern.split_once(' ').unwrap_or((pattern, ""));
    let with_word = |allowed: &str, next: &str| {
        let (first, words) = words.split_first()?;
        if fits(allowed, first) { matched(next, words).map(|length| length + 1) } else { None }
    };
    if place.is_empty() {
        Some(0)
    } else if place == "$" {
        words.is_empty().then_some(0)
    } else if let Some(allowed) = place.strip_suffix('*') {
        with_word(allowed, pattern).or_else(|| matched(rest, words))
    } else if let Some(allowed) = place.strip_suffix('?') {
        with_word(allowed, rest).or_else(|| matched(rest, words))
    } else {
        with_word(place, rest)
    }
}

/// The whole of a text that wants nothing else.
const INSISTENT: [&str; 5] = [
    "IMPATIENT* stop|stopp|sotp|stpo|stp it|this|NOW|EVERYTHING|stop|and|seriously* $",
    "unsuscribe|unsubcribe|unsubscibe|unsubscribed|unsubscribe ME? NOW* $",
    "IMPATIENT* wrong number|person IMPATIENT* stop|unsubscribe NOW* $",
    "IMPATIENT* not interested IMPATIENT* stop|unsubscribe NOW* $",
    "IMPATIENT* stop NOW* you|u? have? the? wrong|not number|person|interested $",
];

/// The whole of a text that may want just that.
const UNCLEAR: [&str; 2] = ["enough|block|blocked|delete|mute|nomore NOW* $", "no more NOW* $"];

/// What tells somebody to stop, wherever in a clause.
const ORDERS: [&str; 29] = [
    "STOP TEXTING and|or? calling? ME",
    "STOP calling and|or TEXTING ME",
    "STOP TEXTING this|my number|phone|cell",
    "STOP SENDING ME? WHICH* SENT",
    "STOP SENDING ME? WHICH* them|stuff|anything|everything|shit|crap|junk|garbage? ME? NOW* $",
    "STOP with? WHICH* SENT",
    "cancel WHICH* MESSAGES",
    "end all|the|these|those|this MESSAGES",
    "dont|dnt|never you? ever|please? TEXT ME",
    "do not ever|please? TEXT ME",
    "dont|dnt|never text|txt|contact|message this|my number|phone|cell",
    "do not text|txt|contact|message this|my number|phone|cell",
    "dont|never text|txt|contact|message NOW* $",
    "do not text|txt|contact|message NOW* $",
    "dont|never send ME? WHICH* SENT|anything",
    "do not send ME? WHICH* SENT|anything",
    "take|remove|delete|drop|get|erase ME off|from|out LIST* list|lists|database|system|texts|messages|sms",
    "take|remove|delete|drop|erase my|this number|phone off|from LIST* list|lists|database|system|contacts|texts|messages",
    "remove|delete|erase my|this number",
    "unsubscribe|unsub ME",
    "opt ME out",
    "leave ME the|tf? fuck|hell? alone",
    "dejen|deje|deja|paren|pare|para|basta de escribirme|escribirnos|textearme|contactarme|contactarnos|molestarme|mensajearme",
    "dejen|deje|deja|paren|pare|para|basta de enviarme|enviarnos|mandarme|mandarnos|enviar|mandar WHICH* SENT",
    "no me escriban|escriba|escribas|contacten|contacte|contactes|molesten|moleste|molestes|texteen|textees",
    "no me envien|envie|envies|manden|mande|mandes WHICH* SENT|nada",
    "quitenme|quiteme|quitame|quitenos|borrenme|borreme|borrame|eliminenme|elimineme|eliminame|saquenme|saqueme|sacame \
     de LIST* lista",
    "basta|parar|paren|dejen de|con? WHICH* MESSAGES",
    "dejenme|dejeme|dejame en paz",
];

/// What people say of themselves.
const WISHES: [&str; 16] = [
    "dont|not|longer want|wish|wanna to? get|receive|have|see? WHICH* SENT",
    "dont|not|longer need WHICH* MESSAGES NOW* $",
    "dont|not|longer want|wish to? get|receive anything",
    "dont|not|longer want you|u to TEXT ME",
    "dont|not|longer want|wish to be texted|contacted|messaged|bothered|notified",
    "want|wish|like|need|wanna|trying|asked to? unsubscribe|unsub|optout ME? from? WHICH* SENT|list|EVERYTHING? NOW* $",
    "want|wish|like|need|wanna|trying|asked to? opt out of|from? WHICH* SENT|EVERYTHING? NOW* $",
    "want|wish|like|need|asked to? be|get removed|deleted|unsubscribed|taken off|from? LIST* list|SENT? NOW* $",
    "want|wish|like|need|wanna|asked to? stop getting|receiving WHICH* SENT",
    "want|wish|like|need|wanna|asked to? stop getting|receiving this|these|those|them NOW* $",
    "i|we opt out",
    "revoke|withdraw my|all|any? consent|permission",
    "no quiero|deseo mas? recibir? WHICH* SENT|nada",
    "no me vuelvan|vuelva|vuelvas a escribir|contactar|enviar|mandar|textear|molestar",
    "quiero darme de baja",
    "denme|deme|dame de baja",
];

/// What a clause begins with.
const OPENINGS: [&str; 9] = [
    "no more WHICH* SENT",
    "no more texting|messaging|contacting",
    "no mas WHICH* SENT",
    "unsubscribe|unsub|optout ME? from? WHICH* SENT|list|EVERYTHING? NOW* $",
    "opt out of|from? WHICH* SENT|EVERYTHING? NOW* $",
    "take|remove|delete ME off? NOW* $",
    "take|remove|delete off|from LIST* list NOW* $",
    "STOP TEXTING NOW* $",
    "lose my number",
];

/// What may stand before an opening.
const BEFORE_AN_OPENING: &str = "and but so please pls plz kindly just thanks you ok okay hi hello hey now again also number \
    y pero favor";

/// What sounds like a wish however long the text is.
const FLAGGED: [&str; 11] = [
    "unsubscribe|unsub|unsubscribed|unsubscribing|optout|desuscribir|desuscribirme",
    "opt|opting|opted out",
    "didnt mean|want|ask to unsubscribe|stop|opt",
    "wrong number|person",
    "numero equivocado",
    "equivoco|equivocaron|equivocado de numero",
    "dont TEXT|call ME|this|my",
    "do not TEXT|call|disturb ME|this|my",
    "STOP TEXTING|calling|SENDING",
    "leave ME alone",
    "fcc|tcpa|harassment",
];

/// What sounds like a wish in a short text.
const FLAGGED_WHEN_SHORT: [&str; 27] = [
    "stop|stopp|quit|cancel|cancelar|revoke|spam|scam",
    "cancel|end WHICH* SENT",
    "turn off WHICH* SENT",
    "no more? texting|texts|messages|notifications|calls NOW* $",
    "no text messages",
    "do not send NOW* $",
    "dont send NOW* $",
    "remove|delete|erase ME|my",
    "take ME|my off",
    "remove|take|get|delete|removed her|him|them|it? from|off|of LIST* list",
    "be removed",
    "her|his|their number",
    "lose my number",
    "report|sue you|u",
    "not|longer|no interested|interest",
    "go away",
    "fuck|piss|f off",
    "dejen|deje|deja|paren|pare de",
    "no quiero|queremos mas",
    "no me llamen|llame|llames",
    "arretez|desabonnez|desinscrivez|smettetela|smettila",
    "keine|geen WHICH* nachrichten|sms|werbung|berichten mehr|meer",
    "unstop|subscribe|resubscribe",
    "opt in",
    "start|resume TEXTING|SENDING",
    "start|resume WHICH* SENT",
    "restart|resume $",
];

/// What says something else with the same words.
const INNOCENT: [&str; 13] = [
    "bus|train|tram|metro|subway|truck|pit|rest|non|full|short|one|next|last|first|the|a|my|our|your stop",
    "stop by|over|off|sign|signs|light|lights|watch|motion|here|there|near|in|on|at|and|to",
    "stop for a|gas|coffee|lunch|dinner|breakfast|food|groceries|milk",
    "quit smoking|drinking|my|his|her",
    "spam folder|filter",
    "no need|reason|plan|plans to stop|cancel|quit|unsubscribe",
    "no need|reason|plan|plans to opt out",
    "reply|replying|text|txt|texting|send|type|respond with? stop|stopall|end|quit|cancel|unsubscribe to|2 \
     opt|unsubscribe|end|stop|cancel|quit|get|be|no out|receiving|getting|removed|unsubscribed? WHICH* SENT?",
    "stop|end|quit to|2 opt|unsubscribe|end|stop|cancel|quit out?",
    "to opt|unsubscribe|stop|cancel out? reply|text|txt|send stop|end|quit|cancel|unsubscribe",
    "no dejen|deje|dejes|paren|pare|pares de",
    "do|did|would you|u want to unsubscribe|stop|cancel|opt",
    "wont|cant|couldnt|cannot stop laughing|crying|smiling|thinking|talking|watching|eating|dancing|singing",
];

/// Words between a negation or a question and its verb: `I don't want you to stop`.
const GLUE: &str = "to want wanted you u ever please pls just going gonna need have wish mean ask asking";
/// What says the opposite of an order: `please don't stop`.
const NOT: &str = "dont dnt not didnt shouldnt without";
/// What says that something is so, mostly in anger: `you won't stop texting me`.
const CANNOT: &str = "cant cannot wont doesnt couldnt wouldnt never isnt aint";
/// What makes it a question, a condition, or about others.
const DOUBT: &str = "if why when whenever how unless until whether did does tell once before after he she they him her them";
/// Who would do it themselves.
const SPEAKER: &str = "i ill we who";
/// Who is told of it: `you don't text me any more`.
const HEARER: &str = "you u who people";
/// What narrows an order: `until Monday`, `while I drive`, `at night`, `so early`. Not for us to understand.
const LIMITS: &str = "until till before after at during while when if only except unless but for about regarding by on over \
    back today tonight tomorrow so early late twice instead between in per every since because as driving busy hasta despues \
    antes cuando sobre durante mientras";
/// What looks like a limit and is none.
const NO_LIMITS: [&str; 7] = [
    "at|on|to|from this|my|your number|phone|cell|line",
    "at all",
    "at once",
    "for good",
    "for|by|in any reason|means|way",
    "or call|email ME?",
    "to ME",
];

/// Where a clause has what a pattern describes.
#[derive(Clone, Copy)]
struct Place<'a> {
    before: &'a [&'a str],
    words: &'a [&'a str],
    after: &'a [&'a str],
}

impl<'a> Place<'a> {
    /// The word directly before.
    fn follows(&self, words: &str) -> bool {
        self.before.last().is_some_and(|word| is_one_of(words, word))
    }

    /// The last word before that is no [`GLUE`].
    fn depends_on(&self, words: &str) -> bool {
        self.before.iter().rev().find(|word| !is_one_of(GLUE, word)).is_some_and(|word| is_one_of(words, word))
    }

    fn positions(&self) -> Range<usize> {
        self.before.len()..self.before.len() + self.words.len()
    }
}

fn places<'a>(patterns: &'static [&'static str], clause: &'a [&'a str]) -> impl Iterator<Item = Place<'a>> {
    patterns.iter().flat_map(move |pattern| {
        (0..clause.len()).filter_map(move |at| {
            let (before, rest) = clause.split_at(at);
            let (words, after) = rest.split_at(matched(pattern, rest)?);
            Some(Place { before, words, after })
        })
    })
}

/// The words of a clause that say something else.
fn innocent(clause: &[&str]) -> BTreeSet<usize> {
    places(&INNOCENT, clause).flat_map(|place| place.positions()).collect()
}

fn is_flagged(patterns: &'static [&'static str], clause: &[&str]) -> bool {
    let innocent = innocent(clause);
    let is_meant = |place: &Place<'_>| !place.depends_on(NOT) && !place.depends_on(CANNOT);
    places(patterns, clause).any(|place| is_meant(&place) && !innocent.contains(&place.before.len()))
}

/// What a clause says.
enum Heard {
    OptOut(Scope),
    Doubt,
    Nothing,
}

/// Reads a clause. What makes one reading of it doubtful makes all of it doubtful.
fn heard(clause: &[&str], is_question: bool) -> Heard {
    let innocent = innocent(clause);
    let orders = places(&ORDERS, clause).map(|place| (place, order(place)));
    let wishes = places(&WISHES, clause).map(|place| (place, wish(place)));
    let openings = places(&OPENINGS, clause).map(|place| (place, opening(place, is_question)));
    let mut heard = Heard::Nothing;
    for (_, next) in orders.chain(wishes).chain(openings).filter(|(place, _)| !innocent.contains(&place.before.len())) {
        match next {
            Heard::Doubt => return Heard::Doubt,
            Heard::OptOut(_) if matches!(heard, Heard::Nothing) => heard = next,
            Heard::OptOut(_) | Heard::Nothing => {}
        }
    }
    heard
}

fn order(place: Place<'_>) -> Heard {
    let is_prohibition = matches!(place.words, ["dont" | "dnt" | "do" | "never", ..]);
    if place.follows(SPEAKER) || (is_prohibition && place.follows(HEARER)) { Heard::Doubt } else { in_context(place) }
}

fn wish(place: Place<'_>) -> Heard {
    if place.follows(HEARER) { Heard::Doubt } else { in_context(place) }
}

fn opening(place: Place<'_>, is_question: bool) -> Heard {
    if !place.before.is_empty() && !place.follows(BEFORE_AN_OPENING) {
        Heard::Nothing
    } else if is_question && !place.follows("you u please pls") {
        Heard::Doubt
    } else {
        in_context(place)
    }
}

/// What becomes of an opt-out by the words before and after it.
fn in_context(place: Place<'_>) -> Heard {
    if place.before.iter().any(|word| is_one_of(DOUBT, word)) || place.depends_on(CANNOT) {
        return Heard::Doubt;
    }
    if place.depends_on(NOT) {
        return Heard::Nothing;
    }
    if let ["about" | "for" | "with" | "regarding" | "sobre", about @ ..] = place.after {
        let is_topic = |word: &&str| category_of(word).is_some() || !is_one_of(WHICH, word);
        let about: Vec<&str> = about.iter().copied().filter(is_topic).collect();
        if let Some(categories) = categories(without_politeness(&about)) {
            return Heard::OptOut(Scope::Only(categories));
        }
    }
    let harmless = NO_LIMITS.iter().find_map(|pattern| matched(pattern, place.after)).unwrap_or(0);
    let is_to_others = harmless == 0 && matches!(place.after, ["to", ..]);
    if is_to_others || place.after.iter().skip(harmless).any(|word| is_one_of(LIMITS, word)) {
        return Heard::Doubt;
    }
    let is_listed = |word: &&str| category_of(word).is_some() || is_one_of(AND, word);
    let named: Vec<&str> = place.words.iter().copied().filter(is_listed).collect();
    Heard::OptOut(categories(&named).map_or(Scope::All, Scope::Only))
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

/// A text that names the categories, unless that makes it longer than a segment.
fn about(categories: &BTreeSet<Category>, text: impl Fn(&str) -> String) -> String {
    let names: Vec<&str> = categories.iter().map(|category| topic(*category)).collect();
    let named = match names.as_slice() {
        [first @ .., second, last] => text(&[first, &[&format!("{second} and {last}")]].concat().join(", ")),
        few => text(&few.concat()),
    };
    if named.chars().count() > 160 { text("these topics") } else { named }
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
    use super::*;
    use crate::domain::segments::{Encoding, encoding, segments};
    use proptest::prelude::*;

    fn english(body: &str) -> Reading {
        read(body, &ConsentSettings::default(), None, false)
    }

    fn in_languages(body: &str, languages: &[Language]) -> Reading {
        read(body, &ConsentSettings { languages: languages.to_vec(), ..ConsentSettings::default() }, None, false)
    }

    fn only(categories: &[Category]) -> Scope {
        Scope::Only(categories.iter().copied().collect())
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
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

    const OPT_OUTS: [&str; 101] = [
        "please stop texting me",
        "Stop texting me",
        "STOP TEXTING ME!!!",
        "Stop texting me anymore",
        "stop text messaging me",
        "Please stop messaging me.",
        "stop contacting me please",
        "stop spamming me",
        "quit texting me",
        "you need to stop texting me now",
        "I said stop texting me",
        "I asked you to stop texting me",
        "Can you please stop texting me?",
        "will you stop texting me",
        "Wrong number, stop texting me",
        "I don't know who this is stop texting me",
        "stop texting this number",
        "Stop calling and texting me",
        "stop texting",
        "stop sending me these messages",
        "Please stop sending me messages",
        "stop sending these texts",
        "stop sending me texts",
        "pls stop sending me this",
        "stop sending",
        "stop these messages please",
        "Stop all texts",
        "stop the texts",
        "Stop the text messages.",
        "cancel these text messages",
        "end these messages",
        "don't text me anymore",
        "Dont text me",
        "Please don’t text me again.",
        "don't ever text me again",
        "do not text me",
        "do not contact me",
        "Do not contact me at all!",
        "do not contact this number",
        "never text me again",
        "don't message us anymore",
        "do not text",
        "don't send me any more messages",
        "please do not send me texts",
        "don't send me anything",
        "no more texts",
        "No more messages please",
        "Thanks but no more texts",
        "Hi, no more messages from you please",
        "I don't want these messages",
        "I do not want any more texts",
        "i dont want to receive messages",
        "We no longer want to get these texts",
        "I no longer wish to be contacted",
        "I don't want you to text me",
        "take me off your list",
        "Please take me off of this mailing list",
        "remove me from this list",
        "remove me from your contact list please",
        "Remove me",
        "remove my number",
        "Please delete my number from your system",
        "lose my number",
        "unsubscribe me please",
        "unsubscribe please",
        "please unsubscribe",
        "Unsubscribe from this list",
        "i want to opt out",
        "I would like to unsubscribe from these messages",
        "I'd like to opt out of all texts",
        "opt me out",
        "Opt out please",
        "I want to be removed from your list",
        "i want to stop receiving these",
        "I revoke my consent",
        "leave me alone",
        "LEAVE US ALONE!",
        "STOP PLEASE",
        "please stop",
        "Stop it",
        "stop now",
        "just stop already",
        "STOP STOP STOP",
        "I said STOP",
        "stopppp",
        "sotp",
        "txt STOP",
        "Stop\n\nSent from my iPhone",
        "Thank you. Please stop texting me.",
        "\"please stop texting me\"",
        "Wrong number, stop",
        "Stop. Wrong number!",
        "stop u have the wrong number",
        "Not interested. STOP.",
        "No thank you, stop",
        "stop fucking texting me",
        "Would you please stop texting?",
        "You can stop texting me now, thanks!",
        "I moved away, no more texts please",
        "Maria died. Please stop texting.",
        "opt out of text messages",
    ];

    const OPT_OUTS_IN_SPANISH: [&str; 12] = [
        "no mas mensajes",
        "No más mensajes, por favor",
        "dejen de escribirme",
        "Por favor dejen de enviarme mensajes",
        "paren de mandarme textos",
        "no me escriban mas",
        "No me envíen más mensajes",
        "ya no quiero recibir mensajes",
        "no quiero más mensajes",
        "quítenme de su lista",
        "Quiero darme de baja",
        "déjenme en paz",
    ];

    #[test]
    fn a_phrase_that_means_an_opt_out_is_obeyed_and_shown() {
        for body in OPT_OUTS.into_iter().chain(OPT_OUTS_IN_SPANISH) {
            assert_eq!(english(body), Reading::phrase(Scope::All), "{body}");
        }
    }

    #[test]
    fn a_phrase_may_name_categories() {
        use Category::*;
        for (body, categories) in [
            ("please stop lessons", &[Lessons][..]),
            ("stop lesson reminders please", &[Lessons]),
            ("STOP LESSONS, thanks", &[Lessons]),
            ("stop sending me lesson reminders", &[Lessons]),
            ("stop sending me offers", &[Marketing]),
            ("please stop the marketing texts", &[Marketing]),
            ("no more promotions please", &[Marketing]),
            ("I don't want any more newsletters", &[Marketing]),
            ("don't send me payment reminders", &[Payments]),
            ("stop texting me about your offers", &[Marketing]),
            ("Stop sending me messages about lessons and payments", &[Lessons, Payments]),
            ("stop sending me reminders", &[Reminder, Lessons, Payments]),
            ("no quiero más ofertas", &[Marketing]),
        ] {
            assert_eq!(english(body), Reading::phrase(only(categories)), "{body}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_wish_is_shown_and_not_obeyed() {
        for body in [
            "wrong number",
            "I think you have the wrong number",
            "who is this? stop",
            "can we stop the lessons?",
            "stop the lessons",
            "cancel my lesson tomorrow",
            "I need to cancel",
            "Please cancel",
            "cancel please",
            "cancel lesson",
            "cancel order",
            "cancel my subscription",
            "I quit",
            "end please",
            "Stop my order",
            "stop codes",
            "not interested",
            "go away",
            "this is spam",
            "how do I stop these messages?",
            "How do I unsubscribe?",
            "how to opt out",
            "can I unsubscribe?",
            "why did you stop texting me?",
            "why did you stop sending me messages",
            "if you don't stop texting me I will sue",
            "you won't stop texting me",
            "he won't stop texting me",
            "stop texting me until Monday",
            "Don't text me while I'm driving",
            "please don't text me at night",
            "stop texting me so early",
            "no more texts today please",
            "stop sending me the wrong link",
            "stop sending me so many messages",
            "don't text me back",
            "you don't text me anymore",
            "Don't call me",
            "stop calling me",
            "tell him to stop texting me",
            "stop texting my husband",
            "remove me from the choir group",
            "take me off the guest list",
            "unsubscribe from the gym",
            "I already replied stop",
            "opt out of the field trip",
            "start texting me again",
            "start please",
            "please resubscribe me",
            "help please",
            "quiero cancelar",
            "alto",
            "no quiero mas",
            "pare",
            "No texts",
            "No more",
            "Enough!",
            "no more calls",
            "No more updates?",
            "stop sending messages to my wife",
            "please remove her from your list",
            "how can I be removed?",
            "I already opted out",
            "I didn't mean to unsubscribe",
            "text me again and I'll report you",
            "I will stop texting you",
            "I said \"stop texting me\"",
            "who told you to text me? this is harassment",
        ] {
            assert_eq!(english(body), Reading::flagged(), "{body}");
        }
    }

    #[test]
    fn what_says_something_else_is_left_alone() {
        for body in [
            "",
            "   ",
            "👍",
            "Thanks, see you there! Please don't stop these.",
            "don't stop texting me",
            "Please do not stop sending me these messages, I like them",
            "I don't want you to stop texting me",
            "please never stop",
            "can't stop laughing",
            "I can't stop laughing 😂",
            "the bus stop is closed",
            "we will stop by at 5",
            "I'll stop by",
            "Can I stop in tomorrow?",
            "non-stop rain here",
            "Is the next stop near you?",
            "text me from the bus stop",
            "what a great start",
            "yes please",
            "stop here please? no, at the next light",
            "Txt STOP to 55555",
            "What does \"Reply STOP to opt out\" mean?",
            "please remove the onions",
            "don't text and drive",
            "Did you get my text?",
            "There are no more seats",
            "Yes, thank you!",
            "end of lesson at 5?",
            "when does class end",
            "please don't cancel my lesson",
            "no need to cancel",
            "I did not unsubscribe",
            "please don't remove me from your list",
            "We don't want to stop lessons",
            "Is class cancelled?",
            "no dejen de escribirme",
            "Liked “Bright Minds: lesson at 5. Reply STOP to opt out”",
            "Disliked “Your lesson with Ms. Johnson is at 3 PM. Reply STOP to uns…",
            "Loved \"Reply STOP to unsubscribe.\"",
            "> Reply STOP to end messages\nThanks!",
            "See you. Reply STOP to opt out",
            "Msg rates may apply. STOP to end, HELP for help.",
            "To opt out reply STOP",
            "Thanks for the help",
            "I need help with the homework",
            "more info about lessons?",
            "I will start on Monday",
            "let's get started",
            "I have the form for removal of allergies",
            "see you at the end of the lesson",
            "Hola, nos vemos mañana",
            "no más tarde a las 5",
            "She will pay the fee for the class tomorrow, thank you",
            "Hi! We are moving to Boston in June so this month is going to be our last one, and we wanted to thank you for \
             everything. We have decided not to stop the music though!",
        ] {
            assert_eq!(english(body), Reading::default(), "{body}");
        }
    }

    #[test]
    fn a_long_text_is_never_obeyed() {
        let polite = "Thank you for the wonderful years with my daughter, who learned so much from Ms. Johnson and loves music, \
                      but we moved to another town in June and";

        let asks = english(&format!("{polite} I would like you to stop texting me."));
        let in_passing = english(&format!("{polite} had to stop playing, cancel the car and quit the club."));

        assert_eq!(asks, Reading::flagged());
        assert_eq!(in_passing, Reading::default());
        assert_eq!(english(&format!("stop texting me {}", "a".repeat(145))), Reading::flagged());
    }

    #[test]
    fn patterns_are_written_in_normalised_words() {
        const KINDS: [&str; 12] =
            ["MESSAGES", "SENT", "WHICH", "ME", "TEXT", "TEXTING", "SENDING", "STOP", "LIST", "NOW", "IMPATIENT", "EVERYTHING"];
        let tables =
            [&INSISTENT[..], &UNCLEAR, &ORDERS, &WISHES, &OPENINGS, &FLAGGED, &FLAGGED_WHEN_SHORT, &INNOCENT, &NO_LIMITS];
        for pattern in tables.into_iter().flatten() {
            for word in pattern.split(' ').flat_map(|place| place.trim_end_matches(['?', '*']).split('|')) {
                assert!(
                    word == "$" || KINDS.contains(&word) || normalised(word) == word && !word.is_empty(),
                    "{pattern}: {word}"
                );
            }
        }
    }

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

    const HARD_WORDS: [&str; 20] = [
        "stop", "texting", "me", "dont", "please", "the", "lessons", "and", "all", "no", "more", "remove", "from", "list", "\"",
        "“", "”", "\n>", ".", ",",
    ];

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

        #[test]
        fn any_words_can_be_read(words in proptest::collection::vec(proptest::sample::select(HARD_WORDS.to_vec()), 0..60)) {
            english(&words.join(" "));
        }
    }
}
