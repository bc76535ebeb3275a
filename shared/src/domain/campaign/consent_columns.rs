//! What the columns of a file say about consent: who wants nothing, and who agreed to no advertising.

use super::cells::shortened;
use super::layout::{Layout, plain};
use super::{Excluded, Refusal};
use crate::domain::contact::Category;

/// What a column's name holds that says who wants nothing at all, written as [`plain`] writes names.
const OPTED_OUT: &[&str] = &["optedout", "optout", "unsubscribed", "donottext", "donotsms", "donotmessage", "donotcontact"];
/// The same, of the whole name.
const OPTED_OUT_WHOLE: &[&str] = &["dnd", "stop", "stopped"];
/// What it holds that says who agreed to advertising.
const AGREED: &[&str] = &[
    "marketing",
    "consent",
    "optin",
    "optedin",
    "subscri",
    "acceptssms",
    "acceptstext",
    "receivetext",
    "receivesms",
    "oktotext",
    "textok",
    "permission",
];
/// Such a column is of something else: of e-mail alone, or of when and how somebody agreed.
const ELSE: &[&str] = &["email", "newsletter", "date", "time", "source", "level", "method", "updated", "campaign"];
/// The column of what somebody wants nothing of.
const OPTED_OUT_CATEGORIES: &str = "optedoutcategories";
const YES: &[&str] = &["yes", "y", "true", "t", "1", "1.0", "on", "x", "ja", "oui", "si", "sí", "sim", "wahr", "vrai", "vero"];
const NO: &[&str] = &["no", "n", "false", "f", "0", "0.0", "off", "nein", "nee", "non", "nao", "não", "falsch", "faux", "falso"];
/// No, whatever was asked.
const UNSUBSCRIBED: &[&str] = &["unsubscribed", "opted out", "opted_out", "opted-out", "optedout"];

/// A column that says who wants nothing.
pub(super) struct Consent {
    pub(super) column: usize,
    /// As people are told of it.
    name: String,
    says: Says,
}

/// What a column of consent says.
#[derive(Clone, Copy)]
enum Says {
    OptedOut,
    Agreed,
    /// A list of what somebody wants nothing of; this category matters.
    Without(Category),
}

impl Consent {
    /// What a cell of the column speaks against. An empty one and an unknown word say nothing.
    pub(super) fn refusal(&self, cell: &str) -> Option<Refusal> {
        let is_any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(cell));
        let is_out = match self.says {
            Says::OptedOut => is_any(YES) || is_any(UNSUBSCRIBED),
            Says::Agreed => is_any(NO) || is_any(UNSUBSCRIBED),
            Says::Without(category) => cell.split([';', '|', ',']).any(|name| Category::parse(name.trim()) == Some(category)),
        };
        is_out.then(|| Refusal::new(Excluded::OptedOut, format!("{} says '{}'", self.name, shortened(cell))))
    }
}

/// The columns that say who wants nothing of `category`. Whether somebody agreed matters for advertising alone.
pub(super) fn consents(layout: &Layout, category: Category) -> Vec<Consent> {
    let says = |name: &str| {
        let holds = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if name == OPTED_OUT_CATEGORIES {
            Some(Says::Without(category))
        } else if holds(ELSE) {
            None
        } else if holds(OPTED_OUT) || OPTED_OUT_WHOLE.contains(&name) {
            Some(Says::OptedOut)
        } else if category == Category::Marketing && holds(AGREED) {
            Some(Says::Agreed)
        } else {
            None
        }
    };
    let columns = layout.columns.iter().enumerate();
    columns.filter_map(|(column, name)| Some(Consent { column, name: name.clone(), says: says(&plain(name))? })).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::layout::{TextEncoding, Whom};
    use super::*;
    use crate::domain::contact::attribute_key;

    #[test]
    fn who_wants_nothing_by_the_file_gets_nothing() {
        let out = |category: Category, column: &str, cell: &str| {
            let columns = vec!["phone".to_string(), attribute_key(column)];
            let layout = Layout { encoding: TextEncoding::Bytes, delimiter: b',', columns, whom: Whom::Number(0) };
            let found = consents(&layout, category);
            assert!(found.iter().all(|consent| consent.column == 1));
            let refusal = found.iter().find_map(|consent| consent.refusal(cell))?;
            Some((refusal.why, refusal.detail.unwrap()))
        };
        let opted_out = |detail: &str| Some((Excluded::OptedOut, detail.to_string()));
        let (marketing, schedule) = (Category::Marketing, Category::Schedule);

        for column in ["opted_out", "Opted Out?", "optedout", "Unsubscribed", "do_not_text", "DND", "sms-opt-out"] {
            for yes in ["yes", "TRUE", "1", "y", "On", "unsubscribed"] {
                assert!(out(marketing, column, yes).is_some() && out(schedule, column, yes).is_some(), "{column} {yes}");
            }
            for no in ["no", "FALSE", "0", "", "maybe", "subscribed"] {
                assert_eq!(out(marketing, column, no), None, "{column} {no}");
            }
        }
        let agreed = [
            "Accepts SMS Marketing",
            "sms_marketing",
            "marketing_consent",
            "SMS Consent",
            "consent",
            "Opted-In",
            "Marketing Opt-In (SMS)",
            "SMS Subscription Status",
            "Text Opt In",
            "Text Marketing",
            "Receive Texts",
            "OK to text",
        ];
        for column in agreed {
            for no in ["no", "FALSE", "0", "n", "off", "Unsubscribed"] {
                assert!(out(marketing, column, no).is_some() && out(schedule, column, no).is_none(), "{column} {no}");
            }
            for yes in ["yes", "true", "1", "subscribed", "", "pending"] {
                assert_eq!(out(marketing, column, yes), None, "{column} {yes}");
            }
        }
        assert_eq!(out(marketing, "Opted Out", "Yes"), opted_out("optedout says 'Yes'"));
        assert_eq!(out(marketing, "accepts_marketing", "no"), opted_out("acceptsmarketing says 'no'"));
        let listed = "lessons; Marketing";
        assert_eq!(out(marketing, "opted_out_categories", listed), opted_out("optedoutcategories says 'lessons; Marketing'"));
        assert!(out(Category::Lessons, "Opted Out Categories", "payments|lessons").is_some());
        assert_eq!(out(schedule, "opted_out_categories", listed), None);
        for column in ["accepts_email_marketing", "Consent date", "marketing source", "Marketing Opt-In Level", "Notes", "Name"] {
            assert_eq!(out(marketing, column, "no"), None, "{column}");
        }
    }
}
