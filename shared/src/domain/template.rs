//! Message templates: `{x}`, `{{x}}`, and `{x|there}` with a default. Parsed once, rendered often.
//!
//! And what a tenant keeps of its own: each change is a version, which is never changed again.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::compose::{FieldError, LONGEST_NAME};
use super::contact::{Category, attribute_key};
use super::tenant::Trade;

/// A parsed template. JSON holds its source text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable { name: String, default: Option<String> },
}

/// A template that messages are made from, by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedTemplate {
    pub name: String,
    pub category: Category,
    pub text: Template,
    /// An inactive template cannot be used.
    pub active: bool,
    /// The approved template of Twilio's that says the same over WhatsApp (D14).
    #[serde(default)]
    pub content_sid: Option<String>,
    /// Which variables fill its `{{1}}`, `{{2}}`, …
    #[serde(default)]
    pub content_variables: Vec<String>,
}

impl NamedTemplate {
    /// A text that can be used, and that Twilio has not approved.
    pub fn new(name: &str, category: Category, text: Template) -> Self {
        Self { name: name.to_string(), category, text, active: true, content_sid: None, content_variables: Vec::new() }
    }
}

/// A template with what is told of it to whoever chooses one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub template: NamedTemplate,
    pub description: Option<String>,
    /// For every trade when absent.
    pub trade: Option<Trade>,
}

/// One version of a tenant's own template; the last is what is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTemplate {
    pub written: Written,
    /// Counted from 1, and on after a deletion.
    pub version: u32,
    pub updated_at: Timestamp,
    pub updated_by: Option<String>,
    /// Somebody took the template away; it says what it said before.
    #[serde(default)]
    pub deleted: bool,
}

impl StoredTemplate {
    /// What follows on `seen`.
    pub fn next(seen: Option<&Self>, written: Written, by: Option<&str>, now: Timestamp) -> Self {
        let version = seen.map_or(0, |seen| seen.version) + 1;
        Self { written, version, updated_at: now, updated_by: by.map(str::to_string), deleted: false }
    }
}

/// A template as somebody writes it, not looked at yet.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: Option<String>,
    pub category: Category,
    pub description: Option<String>,
    pub text: String,
    pub active: bool,
    pub content_sid: Option<String>,
    pub content_variables: Vec<String>,
    pub trade: Option<Trade>,
}

/// Of a template's name, in characters.
const LONGEST_TITLE: usize = 100;
/// What no name has: names stand in paths, and gateways decode those.
const NO_NAME: [char; 5] = ['#', '/', '\\', '?', '%'];
/// Twilio's limit of a text, in UTF-16 units (21617).
const LONGEST_TEXT: usize = 1600;
const LONGEST_DESCRIPTION: usize = 500;
const MOST_CONTENT_VARIABLES: usize = 100;

impl Draft {
    /// A template of this `name` that can be stored.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the fields.
    pub fn check(self, name: &str) -> Result<Written, Vec<FieldError>> {
        let name = name.trim();
        let description = self.description.map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
        let mut errors = Vec::new();
        check_name(name, &mut errors);
        if description.as_ref().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
            let reason = format!("at most {LONGEST_DESCRIPTION} characters");
            errors.push(FieldError::new("description", "too_long", reason));
        }
        if self.text.trim().is_empty() {
            errors.push(FieldError::new("text", "required", "a template says something"));
        }
        if self.text.encode_utf16().count() > LONGEST_TEXT {
            errors.push(FieldError::new("text", "too_long", format!("at most {LONGEST_TEXT} characters; emoji count as two")));
        }
        let text = match Template::parse(&self.text) {
            Ok(text) => text,
            Err(error) => {
                errors.push(FieldError::new("text", "bad_template", error));
                return Err(errors);
            }
        };
        check_content(&text, self.content_sid.as_deref(), &self.content_variables, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let template = NamedTemplate {
            name: name.to_string(),
            category: self.category,
            text,
            active: self.active,
            content_sid: self.content_sid,
            content_variables: self.content_variables,
        };
        Ok(Written { template, description, trade: self.trade })
    }
}

fn check_name(name: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::new("name", "required", "a template has a name"));
    } else if name.chars().count() > LONGEST_TITLE || name.len() > LONGEST_NAME {
        let reason = format!("at most {LONGEST_TITLE} characters, and {LONGEST_NAME} bytes");
        errors.push(FieldError::new("name", "too_long", reason));
    } else if name.chars().any(|c| c.is_control() || NO_NAME.contains(&c)) || !name.chars().any(char::is_alphanumeric) {
        let reason = r"letters or digits, without # / \ ? % and control characters";
        errors.push(FieldError::new("name", "invalid", reason));
    }
}

fn check_content(text: &Template, sid: Option<&str>, names: &[String], errors: &mut Vec<FieldError>) {
    match sid {
        Some(sid) if !is_content_sid(sid) => {
            errors.push(FieldError::new("contentSid", "invalid", "a content SID is HX and 32 hex digits"));
        }
        None if !names.is_empty() => {
            errors.push(FieldError::new("contentSid", "required", "contentVariables fill an approved template: name it"));
        }
        Some(_) | None => {}
    }
    if names.len() > MOST_CONTENT_VARIABLES {
        errors.push(FieldError::new("contentVariables", "too_many", format!("at most {MOST_CONTENT_VARIABLES}")));
        return;
    }
    let known: Vec<String> = text.variables().into_iter().map(attribute_key).collect();
    for (at, name) in names.iter().enumerate() {
        if name.len() > LONGEST_NAME || !known.contains(&attribute_key(name)) {
            let field = format!("contentVariables[{at}]");
            errors.push(FieldError::new(field, "unknown_variable", "the text has no variable of this name"));
        }
    }
}

/// `^HX[0-9a-f]{32}$`, in either case of hex.
pub fn is_content_sid(sid: &str) -> bool {
    sid.strip_prefix("HX").is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A template that cannot be read. Characters are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the brace at character {0} is never closed")]
    Unclosed(usize),
    #[error("'{0}' at character {1} is no variable name: letters, digits and _ only, a letter first")]
    BadName(String, usize),
}

/// A variable that has no value and no default (D2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable '{0}' has no value")]
pub struct MissingVariable(pub String);

/// So much of what is no variable is said back.
const LONGEST_QUOTE: usize = 40;

impl Template {
    /// # Errors
    /// [`TemplateError`] with what to mend.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(open) = rest.find('{') {
            text.push_str(&rest[..open]);
            let (brace, close) = if rest[open..].starts_with("{{") { (2, "}}") } else { (1, "}") };
            let inner = &rest[open + brace..];
            let at = source.len() - rest.len() + open;
            let position = || source[..at].chars().count() + 1;
            let end = inner.find(close).ok_or_else(|| TemplateError::Unclosed(position()))?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            let bad_name = || TemplateError::BadName(inner[..end].chars().take(LONGEST_QUOTE).collect(), position());
            pieces.push(variable(&inner[..end]).ok_or_else(bad_name)?);
            rest = &inner[end + close.len()..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self { source: source.to_string(), pieces })
    }

    /// Fills every variable from `value`.
    ///
    /// # Errors
    /// [`MissingVariable`] for the first variable without a value and without a default: a
    /// placeholder is never sent as text.
    pub fn render<'a>(&self, value: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> Result<String, MissingVariable> {
        let mut body = String::with_capacity(self.source.len() + 32);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => body.push_str(text),
                Piece::Variable { name, default } => match (value(name).filter(|v| !v.is_empty()), default) {
                    (Some(found), _) => body.push_str(&found),
                    (None, Some(default)) => body.push_str(default),
                    (None, None) => return Err(MissingVariable(name.clone())),
                },
            }
        }
        Ok(body)
    }

    /// The variables that [`Template::render`] would not find, each once.
    pub fn missing<'a>(&self, value: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> Vec<&str> {
        let needs = |name: &str| {
            self.pieces.iter().any(|piece| matches!(piece, Piece::Variable { name: known, default: None } if known == name))
        };
        let variables = self.variables();
        variables.into_iter().filter(|name| needs(name) && value(name).is_none_or(|value| value.is_empty())).collect()
    }

    /// The variables in order of appearance, each once.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.pieces {
            if let Piece::Variable { name, .. } = piece
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        }
        names
    }

    /// What stands for `variable` when it has no value; `None` if it needs one somewhere.
    pub fn default_of(&self, variable: &str) -> Option<&str> {
        let mut defaults = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, default } if name == variable => Some(default.as_deref()),
            Piece::Variable { .. } | Piece::Text(_) => None,
        });
        let first = defaults.next()??;
        defaults.all(|default| default.is_some()).then_some(first)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

/// Whether there is a placeholder in `text`, even if the whole is no template.
pub fn has_placeholder(text: &str) -> bool {
    let closed = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    closed.into_iter().any(|(inner, _)| variable(inner).is_some())
}

/// `None` for what is no variable.
fn variable(inner: &str) -> Option<Piece> {
    let (name, default) = match inner.split_once('|') {
        Some((name, default)) => (name, Some(default.to_string())),
        None => (inner, None),
    };
    let name = name.trim();
    let fits = name.starts_with(|c: char| c.is_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    fits.then(|| Piece::Variable { name: name.to_string(), default })
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(source: String) -> Result<Self, TemplateError> {
        Self::parse(&source)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.source
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, MissingVariable> {
        Template::parse(source).unwrap().render(|name| match name {
            "name" => Some("Ana".into()),
            "empty" => Some("".into()),
            _ => None,
        })
    }

    #[test]
    fn both_brace_styles_and_defaults_are_filled() {
        assert_eq!(render("Hi {name}, {{name}}! {nick|there} {empty|x}").unwrap(), "Hi Ana, Ana! there x");
        assert_eq!(render("no variables, a } alone").unwrap(), "no variables, a } alone");
    }

    #[test]
    fn a_missing_variable_is_named_never_sent() {
        assert_eq!(render("Hi {nobody}"), Err(MissingVariable("nobody".into())));
        assert_eq!(render("Hi {empty}"), Err(MissingVariable("empty".into())));
    }

    #[test]
    fn broken_templates_say_where() {
        assert_eq!(Template::parse("Hé {name"), Err(TemplateError::Unclosed(4)));
        assert_eq!(Template::parse("Hé {a b}"), Err(TemplateError::BadName("a b".into(), 4)));
        assert_eq!(Template::parse("{}"), Err(TemplateError::BadName("".into(), 1)));
        assert_eq!(Template::parse("{a}{b}{a}").unwrap().variables(), ["a", "b"]);
    }

    #[test]
    fn a_default_counts_where_the_variable_has_one_everywhere() {
        let template = Template::parse("{a|x} {b|} {c|y} {c} {d|1}{d|2}").unwrap();

        let defaults = ["a", "b", "c", "d", "e"].map(|name| template.default_of(name));
        assert_eq!(defaults, [Some("x"), Some(""), None, Some("1"), None]);
    }

    fn draft(text: &str) -> Draft {
        Draft {
            name: None,
            category: Category::Order,
            description: Some(" ".into()),
            text: text.into(),
            active: true,
            content_sid: None,
            content_variables: Vec::new(),
            trade: None,
        }
    }

    fn wrong(draft: Draft, name: &str) -> Vec<(String, String)> {
        draft.check(name).unwrap_err().into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn a_draft_that_can_be_stored_is_trimmed() {
        let written = draft("Hi {name}").check(" Order Ready ").unwrap();

        assert_eq!((written.template.name.as_str(), written.description), ("Order Ready", None));
    }

    #[test]
    fn names_fit_into_paths_and_keys() {
        let [longest, longer, wide] = ["n".repeat(100), "n".repeat(101), "订".repeat(43)];
        for name in ["a", "Überfällig!", "2026 (new)", "订单", longest.as_str()] {
            assert!(draft("Hi").check(name).is_ok(), "{name}");
        }
        for (name, code) in [
            ("", "required"),
            ("  ", "required"),
            ("a/b", "invalid"),
            ("a#b", "invalid"),
            ("a\\b", "invalid"),
            ("50% off", "invalid"),
            ("really?", "invalid"),
            ("a\nb", "invalid"),
            ("..", "invalid"),
            (longer.as_str(), "too_long"),
            (wide.as_str(), "too_long"),
        ] {
            assert_eq!(wrong(draft("Hi"), name), [("name".to_string(), code.to_string())], "{name}");
        }
    }

    #[test]
    fn everything_wrong_with_a_draft_is_named() {
        let sid = format!("HX{}", "0aF9".repeat(8));
        let with = |sid: &str, names: &[&str]| Draft {
            content_sid: Some(sid.into()),
            content_variables: names.iter().map(ToString::to_string).collect(),
            ..draft("Hi {customer_name}, {total}")
        };
        let of = |field: &str, code: &str| vec![(field.to_string(), code.to_string())];

        assert!(with(&sid, &["total", "customerName", "total"]).check("a").is_ok());
        assert_eq!(wrong(with(&sid, &["total", "sum"]), "a"), of("contentVariables[1]", "unknown_variable"));
        assert_eq!(wrong(with("HX12", &[]), "a"), of("contentSid", "invalid"));
        assert_eq!(wrong(Draft { content_sid: None, ..with("", &["total"]) }, "a"), of("contentSid", "required"));
        assert_eq!(wrong(with(&sid, &["total"; 101]), "a"), of("contentVariables", "too_many"));
        assert_eq!(wrong(draft(" "), "a"), of("text", "required"));
        assert_eq!(wrong(draft(&"x".repeat(1601)), "a"), of("text", "too_long"));
        assert_eq!(wrong(draft(&"😀".repeat(801)), "a"), of("text", "too_long"));
        let both = wrong(Draft { description: Some("d".repeat(501)), ..draft("Hi {") }, "a");
        assert_eq!(both, [of("description", "too_long"), of("text", "bad_template")].concat());
    }

    #[test]
    fn versions_count_on_after_a_deletion() {
        let written = draft("Hi").check("a").unwrap();
        let first = StoredTemplate::next(None, written.clone(), Some("ana"), Timestamp::UNIX_EPOCH);
        let gone =
            StoredTemplate { deleted: true, ..StoredTemplate::next(Some(&first), written.clone(), None, Timestamp::UNIX_EPOCH) };
        let again = StoredTemplate::next(Some(&gone), written, None, Timestamp::UNIX_EPOCH);

        assert_eq!((first.version, gone.version, again.version, again.deleted), (1, 2, 3, false));
        assert_eq!(first.updated_by.as_deref(), Some("ana"));
    }
}
