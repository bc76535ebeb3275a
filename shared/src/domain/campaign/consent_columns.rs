//! What the columns of a file say about consent: who wants nothing, and who agreed to no advertising.

use super::cells::shortened;
use super::layout::{Layout, plain};
use super::{Excluded, Refusal};
use crate::domain::contact::Category;

/// Columns that say who wants nothing at all.
const OPTED_OUT: &[&str] = &[
    "opted_out",
    "opt_out",
    "sms_opted_out",
    "sms_opt_out",
    "unsubscribed",
    "sms_unsubscribed",
    "do_not_text",
    "do_not_sms",
    "do_not_message",
    "do_not_contact",
    "dnd",
];
/// Columns that say who agreed to advertising. Those of e-mail alone are not among them.
const AGREED: &[&str] = &[
    "accepts_sms_marketing",
    "sms_marketing",
    "sms_marketing_consent",
    "sms_marketing_status",
    "marketing_consent",
    "sms_consent",
    "text_consent",
    "consent",
    "opted_in",
    "opt_in",
    "sms_opted_in",
    "sms_opt_in",
    "marketing_opt_in",
    "subscribed",
    "sms_subscribed",
    "accepts_sms",
    "accepts_marketing",
];
/// The column of what somebody wants nothing of.
const OPTED_OUT_CATEGORIES: &str = "opted_out_categories";
const YES: &[&str] = &["yes", "y", "true", "t", "1", "1.0", "on", "x", "ja", "oui", "si", "sí", "sim", "wahr", "vrai", "vero"];
const NO: &[&str] = &["no", "n", "false", "f", "0", "0.0", "off", "nein", "nee", "non", "nao", "não", "falsch", "faux", "falso"];
/// No, whatever was asked.
const UNSUBSCRIBED: &[&str] = &["unsubscribed", "opted out", "opted_out", "opted-out", "optedout"];

/// A column that says who wants nothing.
pub(super) struct Consent {
    pub(super) column: usize,
    /// As people are told of it.
    name: &'static str,
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
    let columns: Vec<String> = layout.columns.iter().map(|column| plain(column)).collect();
    let agreed = if category == Category::Marketing { AGREED } else { &[] };
    let all = OPTED_OUT.iter().map(|name| (*name, Says::OptedOut));
    let all = all.chain([(OPTED_OUT_CATEGORIES, Says::Without(category))]);
    let all = all.chain(agreed.iter().map(|name| (*name, Says::Agreed)));
    let found = all.filter_map(|(name, says)| {
        let key = plain(name);
        let column = columns.iter().position(|known| *known == key)?;
        Some(Consent { column, name, says })
    });
    found.collect()
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
        for column in ["Accepts SMS Marketing", "sms_marketing", "marketing_consent", "SMS Consent", "consent", "Opted-In"] {
            for no in ["no", "FALSE", "0", "n", "off", "Unsubscribed"] {
                assert!(out(marketing, column, no).is_some() && out(schedule, column, no).is_none(), "{column} {no}");
            }
            for yes in ["yes", "true", "1", "subscribed", "", "pending"] {
                assert_eq!(out(marketing, column, yes), None, "{column} {yes}");
            }
        }
        assert_eq!(out(marketing, "Opted Out", "Yes"), opted_out("opted_out says 'Yes'"));
        assert_eq!(out(marketing, "accepts_marketing", "no"), opted_out("accepts_marketing says 'no'"));
        let listed = "lessons; Marketing";
        assert_eq!(out(marketing, "opted_out_categories", listed), opted_out("opted_out_categories says 'lessons; Marketing'"));
        assert!(out(Category::Lessons, "Opted Out Categories", "payments|lessons").is_some());
        assert_eq!(out(schedule, "opted_out_categories", listed), None);
        assert_eq!(out(marketing, "accepts_email_marketing", "no"), None);
    }
}
