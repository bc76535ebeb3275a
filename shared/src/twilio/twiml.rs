//! TwiML: what Twilio is told to say.
//!
//! Verbs and attributes from twilio.com/docs/messaging/twiml/message and twilio.com/docs/voice/twiml.

/// Nothing is to be done.
pub fn nothing() -> String {
    "<Response/>".into()
}

/// A text goes back, and `callback` is told how far it gets. Not in Twilio's regions IE1 and AU1, which know no `<Message>`.
pub fn message(text: &str, callback: &str) -> String {
    format!("<Response><Message statusCallback=\"{}\">{}</Message></Response>", escaped(callback), escaped(text))
}

/// Whose voice says something; Twilio's own choice where nothing is named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Voice<'a> {
    /// `alice`, `Polly.Joanna`.
    pub name: Option<&'a str>,
    /// BCP 47: `en-US`.
    pub language: Option<&'a str>,
}

/// Says `text`, whatever stands in it.
pub fn say(text: &str, voice: Voice<'_>) -> String {
    format!("<Response>{}</Response>", said(text, voice))
}

/// Says `text`, if any, and hangs up.
pub fn hang_up(text: Option<&str>, voice: Voice<'_>) -> String {
    let said = text.map_or(String::new(), |text| said(text, voice));
    format!("<Response>{said}<Hangup/></Response>")
}

/// Says `texts`, and asks `url` what then if a key is pressed meanwhile or soon after; else says `last` and hangs up.
pub fn ask_for_key(texts: &[&str], url: &str, last: &str, voice: Voice<'_>) -> String {
    let texts: String = texts.iter().map(|text| said(text, voice)).collect();
    let url = escaped(url);
    let gather = format!("<Gather numDigits=\"1\" timeout=\"5\" action=\"{url}\" method=\"POST\">{texts}</Gather>");
    format!("<Response>{gather}{}<Hangup/></Response>", said(last, voice))
}

fn said(text: &str, voice: Voice<'_>) -> String {
    let attribute =
        |name: &str, value: Option<&str>| value.map_or(String::new(), |value| format!(" {name}=\"{}\"", escaped(value)));
    let attributes = attribute("voice", voice.name) + &attribute("language", voice.language);
    format!("<Say{attributes}>{}</Say>", escaped(text))
}

/// Text as it stands in XML.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // XML 1.0 has no place for these, escaped or not: Twilio would refuse the whole document (12100).
            c if c.is_control() && !matches!(c, '\n' | '\r' | '\t') => {}
            '\u{fffe}' | '\u{ffff}' => {}
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_said_not_obeyed() {
        let said = say("</Say><Dial>+1900</Dial> Tom & \"Ann\"", Voice { name: Some("alice"), language: Some("en-GB") });

        assert_eq!(
            said,
            "<Response><Say voice=\"alice\" language=\"en-GB\">&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt; Tom &amp; \
             &quot;Ann&quot;</Say></Response>"
        );
    }
}
