//! What Twilio said of a message or a call: one status callback, or one answer of its lists.
//!
//! A message keeps every report, and how far it got is read off all of them together: the set only
//! grows, so whatever comes late, twice or in another order ends in the same state.

use std::fmt;

use super::money::{Currency, Micros};
use super::status::Status;

/// One thing that Twilio said. As text it is one line: `delivered SM… 30003 RawDlrDoneDate=2603060130`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Twilio's word, which we may not know.
    word: String,
    pub sid: String,
    pub error_code: Option<u32>,
    /// What else it said, under Twilio's names, without what is personal.
    more: Vec<(String, String)>,
}

/// A word or a value of Twilio's is cut after so many characters: they are not ours.
const LONGEST_WORD: usize = 32;
const LONGEST_VALUE: usize = 64;
/// A report as text, in bytes: it is a name in an expression of DynamoDB's, which may have 255.
const LARGEST: usize = 250;
/// What is read of a report goes before what is only kept.
const READ: [&str; 4] = ["CallDuration", "AnsweredBy", "Price", "PriceUnit"];

impl Report {
    pub fn new(word: &str, sid: &str, error_code: Option<u32>) -> Self {
        let word: String = word.chars().filter(|c| c.is_ascii_graphic()).take(LONGEST_WORD).collect();
        let word = if word.is_empty() { "?".to_string() } else { word };
        let sid = sid.chars().filter(char::is_ascii_alphanumeric).take(LONGEST_WORD + 2).collect();
        Self { word, sid, error_code, more: Vec::new() }
    }

    /// The same, with more that Twilio said: as much of it as fits.
    pub fn saying<'a>(mut self, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let cut = |value: &str| value.chars().take(LONGEST_VALUE).collect::<String>();
        let mut more: Vec<(String, String)> = more.into_iter().map(|(name, value)| (name.to_string(), cut(value))).collect();
        more.sort_by_cached_key(|(name, value)| (!READ.contains(&name.as_str()), name.clone(), value.clone()));
        more.dedup();
        for one in more {
            self.more.push(one);
            if self.to_string().len() > LARGEST {
                self.more.pop();
            }
        }
        self
    }

    /// What the word means; `None` for one that we do not know.
    pub fn status(&self) -> Option<Status> {
        Status::from_twilio(&self.word)
    }

    pub fn word(&self) -> &str {
        &self.word
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.more.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How long a call lasted, in seconds; told at its end.
    pub fn duration(&self) -> Option<u32> {
        self.value("CallDuration")?.parse().ok()
    }

    /// Who took a call, if Twilio was to find out.
    pub fn answered_by(&self) -> Option<&str> {
        self.value("AnsweredBy")
    }

    /// What Twilio says that it cost. Twilio writes it as a negative amount.
    pub fn price(&self) -> Option<(Micros, Currency)> {
        let amount = Micros::parse(self.value("Price")?.trim_start_matches('-'))?;
        Some((amount, Currency::parse(self.value("PriceUnit")?)?))
    }

    /// Reads a line back. Nothing else was ever written.
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let (word, sid) = (parts.next()?, parts.next()?);
        let error_code = parts.next().and_then(|code| code.parse().ok());
        let more = form_urlencoded::parse(parts.next().unwrap_or_default().as_bytes()).into_owned().collect();
        Some(Self { word: word.to_string(), sid: sid.to_string(), error_code, more })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word, self.sid)?;
        match self.error_code {
            Some(code) => write!(f, " {code}")?,
            None if self.more.is_empty() => {}
            None => f.write_str(" -")?,
        }
        if !self.more.is_empty() {
            let more = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.more).finish();
            write!(f, " {more}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_reads_like_a_line_of_a_log() {
        assert_eq!(Report::new("sent", "SM1", None).to_string(), "sent SM1");
        assert_eq!(Report::new("undelivered", "SM1", Some(30003)).to_string(), "undelivered SM1 30003");
        let ended = Report::new("completed", "CA1", None).saying([("CallDuration", "61"), ("AnsweredBy", "human")]);
        assert_eq!(ended.to_string(), "completed CA1 - AnsweredBy=human&CallDuration=61");
        assert_eq!((ended.duration(), ended.answered_by()), (Some(61), Some("human")));
    }

    #[test]
    fn a_price_is_read_with_its_currency() {
        let report = Report::new("completed", "CA1", None).saying([("Price", "-0.0130"), ("PriceUnit", "USD")]);
        assert_eq!(report.price(), Some((Micros(13_000), Currency::usd())));
        assert_eq!(Report::new("completed", "CA1", None).saying([("Price", "x"), ("PriceUnit", "USD")]).price(), None);
    }

    proptest! {
        #[test]
        fn a_line_is_read_back_whatever_twilio_said(
            word in ".{0,40}",
            code in proptest::option::of(0u32..70_000),
            more in proptest::collection::vec((".{1,10}", ".{0,80}"), 0..12),
        ) {
            let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let report = Report::new(&word, "SM1", code).saying(more);
            let line = report.to_string();
            prop_assert!(line.len() <= LARGEST);
            prop_assert_eq!(Report::parse(&line), Some(report));
        }
    }
}
