//! Sentences of English and Spanish that a reasonable person reads as an opt-out, and what only sounds like one.
//!
//! A text is read clause by clause, by patterns of words. What is before and after a pattern's words decides whether it
//! is obeyed, shown to a person or left alone. What is a keyword and nothing else, `keywords` has read before.
//!
//! Source: "any reasonable means", 47 CFR 64.1200(a)(10), 89 FR 15756.

use std::collections::BTreeSet;
use std::ops::Range;

use super::keywords::{
    AND, COMBINING, EVERYTHING, MESSAGES, categories, category_of, is_one_of, is_stop_in_some_language, keyword, listed,
};
use super::{ConsentSettings, Reading, Scope, Wish, normalised};

/// Longer texts say what they say to a person: none of their phrases is obeyed.
const LONGEST_PHRASE: usize = 160;

/// In texts of more words, a word such as `cancel` is in passing.
const FEW_WORDS: usize = 10;

/// Twilio's bodies have at most 1600 characters.
const LONGEST_BODY: usize = 1600;

/// Reads what is no keyword.
pub(super) fn phrase(body: &str, settings: &ConsentSettings) -> Reading {
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
    is_stop_in_some_language(&text).then(Reading::flagged)
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

pub(super) const POLITE: &str = "please pls plz plse kindly thanks thank you thx ty hi hello hey ok okay sir madam maam por \
    favor gracias hola svp merci bitte danke";
const OATHS: &str = "fucking fuckin fkn fckn effing freaking frickin damn goddamn bloody";
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

#[cfg(test)]
mod tests {
    use super::super::tests::{english, only};
    use super::*;
    use crate::domain::contact::Category;
    use proptest::prelude::*;

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

    const HARD_WORDS: [&str; 20] = [
        "stop", "texting", "me", "dont", "please", "the", "lessons", "and", "all", "no", "more", "remove", "from", "list", "\"",
        "“", "”", "\n>", ".", ",",
    ];

    proptest! {
        #[test]
        fn any_words_can_be_read(words in proptest::collection::vec(proptest::sample::select(HARD_WORDS.to_vec()), 0..60)) {
            english(&words.join(" "));
        }
    }
}
