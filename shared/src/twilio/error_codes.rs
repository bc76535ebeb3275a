//! What Twilio's error codes mean, for us and for the operator: one table, `error_codes.tsv`.
//!
//! A line of it is code, class, title and advice, with tabs between, sorted by code. Titles are Twilio's;
//! classes and advice are ours (requirements D3, S0-90..93, S1-70..74, S2-33..36). Whether an attempt was
//! processed is not decided here: `client.rs` does that first, and asks for the class of what was not.

/// What a code asks of whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Settings, account or program must be mended; sending again changes nothing.
    PermanentConfig,
    /// This recipient cannot be reached this way.
    PermanentRecipient,
    /// The body, media or template must change.
    Content,
    /// The recipient does not want it.
    OptOut,
    /// Too much at once; the same goes through more slowly.
    RateLimited,
    /// May pass after minutes or hours.
    RetryLater,
    /// May pass at once, after reading the state anew.
    RetryableNow,
    /// Nothing of this account or sender goes until Twilio or Meta lifts it.
    AccountSuspended,
}

impl Class {
    pub fn word(self) -> &'static str {
        match self {
            Class::PermanentConfig => "permanent_config",
            Class::PermanentRecipient => "permanent_recipient",
            Class::Content => "content",
            Class::OptOut => "opt_out",
            Class::RateLimited => "rate_limited",
            Class::RetryLater => "retry_later",
            Class::RetryableNow => "retryable_now",
            Class::AccountSuspended => "account_suspended",
        }
    }

    /// The class of a [`Class::word`].
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "permanent_config" => Class::PermanentConfig,
            "permanent_recipient" => Class::PermanentRecipient,
            "content" => Class::Content,
            "opt_out" => Class::OptOut,
            "rate_limited" => Class::RateLimited,
            "retry_later" => Class::RetryLater,
            "retryable_now" => Class::RetryableNow,
            "account_suspended" => Class::AccountSuspended,
            _ => return None,
        })
    }
}

/// One of Twilio's codes, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub code: u32,
    pub title: &'static str,
    pub class: Class,
    /// What the operator can do about it.
    pub advice: &'static str,
}

const TABLE: &str = include_str!("error_codes.tsv");

/// What `code` means; a code that the table lacks gets a safe default.
///
/// Twilio adds and re-maps codes without notice (twilio-facts §0.13). The default is
/// [`Class::PermanentConfig`]: it never sends again, which could send twice, and never holds the
/// recipient for unreachable or opted out; it asks a person to look.
pub fn meaning(code: u32) -> Meaning {
    // Some 400 short lines, and only failures are looked up: a search from the top is fast enough.
    TABLE.lines().find(|line| code_of(line) == Some(code)).and_then(read).unwrap_or(Meaning {
        code,
        title: "Unknown error",
        class: Class::PermanentConfig,
        advice: "This code is not known here: look it up at https://www.twilio.com/docs/api/errors, by its number.",
    })
}

/// Every code of the table, in order.
pub fn all() -> impl Iterator<Item = Meaning> {
    TABLE.lines().filter_map(read)
}

fn code_of(line: &str) -> Option<u32> {
    line.split_once('\t')?.0.parse().ok()
}

fn read(line: &'static str) -> Option<Meaning> {
    let mut fields = line.split('\t');
    let code: u32 = fields.next()?.parse().ok()?;
    let class = Class::parse(fields.next()?)?;
    let title = fields.next()?;
    let advice = fields.next()?;
    fields.next().is_none().then_some(Meaning { code, title, class, advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        assert_eq!(all().count(), TABLE.lines().count());
        assert_eq!(all().count(), 397);
        for known in all() {
            assert!(!known.title.is_empty() && !known.advice.is_empty(), "{known:?}");
            assert_eq!(Class::parse(known.class.word()), Some(known.class));
            assert_eq!(meaning(known.code), known);
        }
    }

    #[test]
    fn codes_are_sorted_and_unique() {
        let codes: Vec<u32> = all().map(|known| known.code).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_codes_of_d3_mean_what_d3_says() {
        for (code, class, says) in [
            (21211, Class::PermanentRecipient, "check its format"), // S0-90, S1-71
            (21408, Class::PermanentConfig, "geo permissions"),     // S0-91
            (21610, Class::OptOut, "START"),                        // S0-92
            (63003, Class::PermanentRecipient, "not known on this channel"), // S0-93
            (63007, Class::PermanentConfig, "no WhatsApp sender"),
            (63016, Class::Content, "24-hour WhatsApp window"),
            (20003, Class::PermanentConfig, "without spaces"), // S1-72
            (21210, Class::PermanentConfig, "voice-enabled"),  // S1-73
            (21608, Class::PermanentConfig, "upgrade"),        // S1-74
            (30007, Class::Content, "spam trigger"),           // S2-35
            (20005, Class::AccountSuspended, "Add funds"),     // S2-36
            (20429, Class::RateLimited, "not processed"),      // D8
            (21611, Class::RateLimited, "much later"),         // D8
        ] {
            let known = meaning(code);
            assert_eq!(known.class, class, "{code}");
            assert!(known.advice.contains(says), "{code}: {}", known.advice);
        }
    }

    #[test]
    fn an_opt_out_is_never_blamed_on_spam_filters() {
        assert!(!meaning(21610).advice.contains("check"));
        assert!(meaning(21610).title.contains("unsubscribed"));
    }

    #[test]
    fn an_unknown_code_neither_resends_nor_blocks_the_recipient() {
        let unknown = meaning(99_999);

        assert_eq!(unknown.code, 99_999);
        assert_eq!(unknown.title, "Unknown error");
        assert_eq!(unknown.class, Class::PermanentConfig);
        assert!(unknown.advice.contains("https://www.twilio.com/docs/api/errors"));
    }

    #[test]
    fn a_class_that_we_do_not_have_is_none() {
        assert_eq!(Class::parse("Permanent_Config"), None);
        assert_eq!(Class::parse(""), None);
    }
}
