//! TwiML, as far as it is obeyed here: elements, attributes and text, and the URLs in it.
//!
//! It is XML, and what is not well-formed is none, as at Twilio (error 12100). No name spaces and no
//! entities of one's own. Facts from twilio-facts §3.

use super::submission::is_http;

/// An element of TwiML. Names are case-sensitive.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    /// What stands directly in it, between its children.
    pub(super) text: String,
}

/// Elements that have begun and not ended, the innermost last; and the outermost, once it has.
#[derive(Default)]
struct Reader {
    open: Vec<Element>,
    root: Option<Element>,
}

/// Twilio's limit, in bytes (error 11750).
const LARGEST: usize = 64 * 1024;
/// Deeper than any verb goes, and shallow enough for every stack.
const DEEPEST: usize = 32;

impl Element {
    /// The value of an attribute, unless it is empty.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The children of that name.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// The `<Response>` of a document; none if it is not well-formed, or no TwiML.
pub(super) fn read(document: &str) -> Option<Element> {
    if document.len() > LARGEST || !document.chars().all(is_xml) {
        return None;
    }
    let mut reader = Reader::default();
    let mut rest = document.trim_start_matches('\u{feff}');
    while let Some((text, markup)) = rest.split_once('<') {
        reader.text(text)?;
        rest = reader.markup(markup)?;
    }
    reader.text(rest)?;
    let Reader { open, root } = reader;
    root.filter(|root| open.is_empty() && root.name == "Response")
}

/// A URL in TwiML that `webhook` answered: absolute as it stands, else seen from there.
pub(super) fn resolve(webhook: &str, url: &str) -> Option<String> {
    if url.is_empty() {
        return Some(webhook.to_owned());
    }
    if is_http(url) {
        return Some(url.to_owned());
    }
    let joined = reqwest::Url::parse(webhook).ok()?.join(url).ok()?.to_string();
    is_http(&joined).then_some(joined)
}

impl Reader {
    fn text(&mut self, text: &str) -> Option<()> {
        let text = decoded(text)?;
        match self.open.last_mut() {
            Some(element) => element.text.push_str(&text),
            None if text.trim().is_empty() => {}
            None => return None,
        }
        Some(())
    }

    /// Reads what a `<` begins, and gives what follows it.
    fn markup<'a>(&mut self, markup: &'a str) -> Option<&'a str> {
        if let Some(comment) = markup.strip_prefix("!--") {
            return comment.split_once("-->").map(|(_, rest)| rest);
        }
        if let Some(section) = markup.strip_prefix("![CDATA[") {
            let (text, rest) = section.split_once("]]>")?;
            self.open.last_mut()?.text.push_str(text);
            return Some(rest);
        }
        // The declaration, or a document type.
        if markup.starts_with(['?', '!']) {
            return markup.split_once('>').map(|(_, rest)| rest);
        }
        if let Some(end) = markup.strip_prefix('/') {
            let (name, rest) = end.split_once('>')?;
            let element = self.open.pop().filter(|element| element.name == name.trim_end())?;
            self.close(element)?;
            return Some(rest);
        }
        let (element, is_whole, rest) = start_tag(markup)?;
        if is_whole {
            self.close(element)?;
        } else if self.open.len() < DEEPEST {
            self.open.push(element);
        } else {
            return None;
        }
        Some(rest)
    }

    fn close(&mut self, element: Element) -> Option<()> {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None if self.root.is_none() => self.root = Some(element),
            None => return None,
        }
        Some(())
    }
}

/// The element that a tag begins, whether it also ends it, and what follows the tag.
fn start_tag(markup: &str) -> Option<(Element, bool, &str)> {
    let (name, mut rest) = markup.split_at(markup.find(ends_name)?);
    if name.is_empty() {
        return None;
    }
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return Some((element, true, after));
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Some((element, false, after));
        }
        let (name, value) = rest.split_once('=')?;
        let (name, value) = (name.trim_end(), value.trim_start());
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
        let (value, after) = value.strip_prefix(quote)?.split_once(quote)?;
        if name.is_empty() || name.contains(ends_name) || value.contains('<') {
            return None;
        }
        element.attributes.push((name.to_owned(), decoded(value)?));
        rest = after;
    }
}

fn ends_name(character: char) -> bool {
    character.is_whitespace() || matches!(character, '<' | '>' | '/' | '"' | '\'' | '&')
}

/// Text with its entities resolved; none if one of them is not XML's.
fn decoded(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        let (entity, after) = entity.split_once(';')?;
        decoded.push_str(before);
        decoded.push(character(entity)?);
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = entity.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?).filter(|character| is_xml(*character))
        }
    }
}

/// Whether a character may stand in XML at all: XML 1.0, §2.2.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn attributes_text_and_children_are_read_with_their_entities() {
        let document = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hello -->\n<Response>\n  \
                        <Message to='a \"b\" &gt;' action = \"/x?a=1&amp;b=2\">Hi<Body>1 &lt; 2 &#38; &#x1F600; &apos;</Body>\
                        <Media/><Media >u</Media ></Message ><!-- > --><Say><![CDATA[<b> & </b>]]></Say>\n</Response>\n";

        let response = read(document).unwrap();

        let message = response.children("Message").next().unwrap();
        assert_eq!((message.attribute("to"), message.attribute("action")), (Some("a \"b\" >"), Some("/x?a=1&b=2")));
        assert_eq!((message.text.as_str(), message.attribute("from")), ("Hi", None));
        assert_eq!(message.children("Body").next().unwrap().text, "1 < 2 & \u{1f600} '");
        assert_eq!(message.children("Media").map(|media| media.text.as_str()).collect::<Vec<_>>(), ["", "u"]);
        assert_eq!(response.children("Say").next().unwrap().text, "<b> & </b>");
    }

    #[test]
    fn what_is_not_well_formed_or_no_response_is_none() {
        let deep = format!("<Response>{}", "<a>".repeat(10_000));
        let documents = [
            "",
            "OK",
            "<Response>",
            "<response/>",
            "<Response/><Response/>",
            "<Response/>more",
            "<Response></Message>",
            "</Response>",
            "<Response><Message>Tom & Ana</Message></Response>",
            "<Response>&nbsp;</Response>",
            "<Response>&#0;</Response>",
            "<Response>\u{8}</Response>",
            "<Response a=b/>",
            "<Response a/>",
            "<Response a='1",
            "<Response / >",
            "< Response/>",
            "<Response><!-- </Response>",
            "<Response><![CDATA[ </Response>",
            "<!DOCTYPE html><html><body>It works</body></html>",
            "<",
            "<\u{1f600}",
            &deep,
        ];

        for document in documents {
            assert!(read(document).is_none(), "{document:.60}");
        }
    }

    #[test]
    fn no_beginning_of_a_document_is_too_short_to_be_read() {
        let document = "<?xml?><!--c--><Response><Message to=\"+1\" x='&amp;'>é&#233;<![CDATA[x]]></Message><a/></Response>";

        for (end, _) in document.char_indices() {
            assert!(read(&document[..end]).is_none(), "{}", &document[..end]);
        }
        assert!(read(document).is_some());
    }

    #[test]
    fn urls_are_seen_from_the_webhook_that_named_them() {
        let webhook = "http://127.0.0.1:8788/twilio/sample/voice?x=1";

        assert_eq!(resolve(webhook, "").as_deref(), Some(webhook));
        assert_eq!(resolve(webhook, "voice/menu").as_deref(), Some("http://127.0.0.1:8788/twilio/sample/voice/menu"));
        assert_eq!(resolve(webhook, "/status?id=1#rc=3").as_deref(), Some("http://127.0.0.1:8788/status?id=1#rc=3"));
        assert_eq!(resolve(webhook, "https://example.com/x").as_deref(), Some("https://example.com/x"));
        assert_eq!(resolve(webhook, "mailto:ana@example.com"), None);
    }
}
