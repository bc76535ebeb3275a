//! The words by which people opt out and in again. Matched on the whole trimmed body, in any case.
//!
//! Twilio's default words and those that the FCC lists as revoking by themselves
//! (47 CFR 64.1200(a)(10), 89 FR 15756).

use serde::{Deserialize, Serialize};

const STOP: [&str; 9] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"];
const START: [&str; 3] = ["START", "YES", "UNSTOP"];

/// What an inbound text asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keyword {
    Stop,
    Start,
}

/// The keyword that `body` is, if it is nothing else.
pub fn keyword(body: &str) -> Option<Keyword> {
    let word = body.trim();
    let is_one_of = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is_one_of(&STOP) {
        Some(Keyword::Stop)
    } else if is_one_of(&START) {
        Some(Keyword::Start)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_keyword_alone_counts() {
        assert_eq!(keyword(" STOP \n"), Some(Keyword::Stop));
        assert_eq!(keyword("Stop"), Some(Keyword::Stop));
        assert_eq!(keyword("opt out"), Some(Keyword::Stop));
        assert_eq!(keyword("unstop"), Some(Keyword::Start));
        assert_eq!(keyword("Thanks, see you there! Please don't stop these."), None);
        assert_eq!(keyword(""), None);
    }
}
