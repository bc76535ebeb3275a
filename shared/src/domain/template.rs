//! Message templates: `{x}`, `{{x}}`, and `{x|there}` with a default. Parsed once, rendered often.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::contact::Category;

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

/// A template that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the brace at character {0} is never closed")]
    Unclosed(usize),
    #[error("'{0}' is no variable name: letters, digits and _ only, a letter first")]
    BadName(String),
}

/// A variable that has no value and no default (D2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable '{0}' has no value")]
pub struct MissingVariable(pub String);

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
            let end = inner.find(close).ok_or(TemplateError::Unclosed(source[..at].chars().count() + 1))?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(variable(&inner[..end])?);
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
}

/// Whether there is a placeholder in `text`, even if the whole is no template.
pub fn has_placeholder(text: &str) -> bool {
    let closed = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    closed.into_iter().any(|(inner, _)| variable(inner).is_ok())
}

fn variable(inner: &str) -> Result<Piece, TemplateError> {
    let (name, default) = match inner.split_once('|') {
        Some((name, default)) => (name, Some(default.to_string())),
        None => (inner, None),
    };
    let name = name.trim();
    let fits = name.starts_with(|c: char| c.is_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !fits {
        return Err(TemplateError::BadName(inner.to_string()));
    }
    Ok(Piece::Variable { name: name.to_string(), default })
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
        assert_eq!(Template::parse("{a b}"), Err(TemplateError::BadName("a b".into())));
        assert_eq!(Template::parse("{}"), Err(TemplateError::BadName("".into())));
        assert_eq!(Template::parse("{a}{b}{a}").unwrap().variables(), ["a", "b"]);
    }
}
