//! The parameters of webhooks, decoded once: from a form, or from a JSON object.

use serde_json::Value;

/// A request's parameters in the order of its body, repeated ones kept.
#[derive(Clone, Debug, Default)]
pub struct Form(pub Vec<(String, String)>);

impl Form {
    /// Never fails: what is no form has no parameters that a signature would cover.
    pub fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// What stands at the top of a JSON object; of anything else, nothing.
    pub fn parse_json(body: &[u8]) -> Self {
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else { return Self::default() };
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        Self(object.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
    }

    /// The first value of `name`; an empty one is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}
