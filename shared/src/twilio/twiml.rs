//! TwiML: what Twilio is told to say.

/// Says `text`, whatever stands in it, in a voice and language of Twilio's.
pub fn say(text: &str, voice: Option<&str>, language: Option<&str>) -> String {
    let attribute =
        |name: &str, value: Option<&str>| value.map_or(String::new(), |value| format!(" {name}=\"{}\"", escaped(value)));
    let attributes = attribute("voice", voice) + &attribute("language", language);
    format!("<Response><Say{attributes}>{}</Say></Response>", escaped(text))
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
        let said = say("</Say><Dial>+1900</Dial> Tom & \"Ann\"", Some("alice"), Some("en-GB"));

        assert_eq!(
            said,
            "<Response><Say voice=\"alice\" language=\"en-GB\">&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt; Tom &amp; \
             &quot;Ann&quot;</Say></Response>"
        );
    }
}
