//! `multipart/form-data`: the fields that JSON has, as a page's form sends them, and a file among them (S2-23).
//!
//! What a part says of its own type, encoding and file name is not believed. Whoever takes the file finds out what it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::Problem;
use super::request::read_value;
use crate::domain::recipients;

const FORM: &str = "multipart/form-data";

/// The fields of a form, by name.
#[derive(Debug, Default)]
pub struct Form {
    fields: BTreeMap<String, Bytes>,
}

/// How a field of a form is written, if it is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// `true` or `false`.
    Flag,
    /// In digits.
    Number,
    /// Several, with new lines, commas or semicolons between.
    List,
    /// Several, with white space between: what has commas itself.
    Words,
}

/// Whether a request says that it is a form with parts.
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

/// All that comes, at most `most` bytes.
///
/// # Errors
/// 413; `instead` says what to do.
pub async fn whole(body: Body, most: usize, instead: &str) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(format!("at most {most} bytes: {instead}"));
    axum::body::to_bytes(body, most).await.map_err(|_| too_large())
}

impl Form {
    /// # Errors
    /// 422 for what is no form, and for a field that is there twice.
    pub async fn read(parts: Parts, body: Bytes) -> Result<Self, Problem> {
        let mut request = Request::from_parts(parts, Body::from(body));
        // It was measured when it came.
        DefaultBodyLimit::disable().apply(&mut request);
        let mut parts = Multipart::from_request(request, &()).await.map_err(|error| no_form(&error.body_text()))?;
        let mut fields = BTreeMap::new();
        while let Some(part) = parts.next_field().await.map_err(|error| no_form(&error.body_text()))? {
            let nameless = || Problem::field("", "invalid", "each part of a form has a name");
            let name = part.name().map(str::to_string).ok_or_else(nameless)?;
            let bytes = part.bytes().await.map_err(|error| no_form(&error.body_text()))?;
            if fields.insert(name.clone(), bytes).is_some() {
                return Err(twice(name));
            }
        }
        Ok(Self { fields })
    }

    /// What tells this form from another, however it is cut into parts, and whatever stands between them.
    pub fn fingerprint(&self) -> String {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        for (name, bytes) in &self.fields {
            for part in [name.as_bytes(), &bytes[..]] {
                digest.update(&(part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes the file of this name out. A page sends an empty one where none was chosen.
    pub fn take(&mut self, name: &str) -> Option<Bytes> {
        self.fields.remove(name).filter(|bytes| !bytes.is_empty())
    }

    /// What the fields say, read as JSON would be: an empty field is `null`, and `name[key]` is the value of `key` in the
    /// object `name`.
    ///
    /// # Errors
    /// 422 with the field that cannot be read, or that there is none of.
    pub fn values<T: DeserializeOwned>(self, written: &[(&str, Written)]) -> Result<T, Problem> {
        let mut json = Map::new();
        let mut garbled = None;
        for (name, bytes) in self.fields {
            let text = String::from_utf8_lossy(&bytes);
            if let Cow::Owned(_) = text {
                garbled.get_or_insert_with(|| name.clone());
            }
            let in_object = name.strip_suffix(']').and_then(|name| name.split_once('['));
            let is_new = match in_object {
                Some((object, key)) => match json.entry(object).or_insert_with(|| Value::Object(Map::new())) {
                    Value::Object(values) => values.insert(key.to_string(), text.into_owned().into()).is_none(),
                    _ => false,
                },
                None => {
                    let how = written.iter().find(|(known, _)| *known == name).map(|(_, how)| *how);
                    json.insert(name.clone(), value(&text, how)).is_none()
                }
            };
            if !is_new {
                return Err(twice(name));
            }
        }
        // First whether there is such a field: a file in the wrong one is often no text.
        let values = read_value(Value::Object(json)).map_err(|error| Problem::fields(vec![error]))?;
        match garbled {
            Some(name) => Err(Problem::field(name, "invalid", "a text in UTF-8")),
            None => Ok(values),
        }
    }
}

/// A field's value. What it should be and is not stays text: the reader of the JSON tells that.
fn value(text: &str, written: Option<Written>) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let as_text = || Value::String(text.to_string());
    match written {
        Some(Written::Flag) => text.trim().parse::<bool>().map_or_else(|_| as_text(), Value::Bool),
        Some(Written::Number) => text.trim().parse::<u64>().map_or_else(|_| as_text(), |number| Value::Number(number.into())),
        Some(Written::List) => recipients::split(text).into_iter().map(Value::from).collect(),
        Some(Written::Words) => text.split_whitespace().map(Value::from).collect(),
        None => as_text(),
    }
}

fn twice(name: String) -> Problem {
    Problem::field(name, "invalid", "this field is there twice")
}

fn no_form(said: &str) -> Problem {
    Problem::field("", "not_form", format!("the body is not the {FORM} that its Content-Type says: {said}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Wish {
        name: Option<String>,
        hold: Option<bool>,
        days: Option<u32>,
        groups: Option<Vec<String>>,
        urls: Option<Vec<String>>,
        variables: Option<BTreeMap<String, String>>,
    }

    const WRITTEN: [(&str, Written); 4] =
        [("hold", Written::Flag), ("days", Written::Number), ("groups", Written::List), ("urls", Written::Words)];

    async fn form(boundary: &str, fields: &[(&str, &[u8])]) -> Result<Form, Problem> {
        let mut body = Vec::new();
        for (name, value) in fields {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x.exe\"\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(b"Content-Type: application/nonsense\r\n\r\n");
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Form::read(parts(&format!("{FORM}; boundary={boundary}")), body.into()).await
    }

    fn parts(content_type: &str) -> Parts {
        axum::http::Request::builder().header("content-type", content_type).body(()).unwrap().into_parts().0
    }

    /// Field, code and reason of the one error.
    fn told(problem: Problem) -> [String; 3] {
        let problem = serde_json::to_value(problem).unwrap();
        ["field", "code", "reason"].map(|name| problem["errors"][0][name].as_str().unwrap().to_string())
    }

    #[tokio::test]
    async fn a_form_says_what_json_says() {
        let fields: [(&str, &[u8]); 8] = [
            ("name", "Fr\u{fc}hling, 20 %".as_bytes()),
            ("hold", b" true "),
            ("days", b"30"),
            ("groups", b"Choir, Strings\r\nBand"),
            ("urls", b"https://a.example/x?a,b\r\nhttps://b.example/y"),
            ("variables[offer]", b"2 for 1"),
            ("variables[none]", b""),
            ("file", b"\xff\x00\r\n--other--"),
        ];
        let mut form = form("XyZ", &fields).await.unwrap();

        assert_eq!(form.take("file").unwrap(), fields[7].1);
        let said = json!({
            "name": "Fr\u{fc}hling, 20 %", "hold": true, "days": 30, "groups": ["Choir", "Strings", "Band"],
            "urls": ["https://a.example/x?a,b", "https://b.example/y"], "variables": { "offer": "2 for 1", "none": "" },
        });
        assert_eq!(form.values::<Wish>(&WRITTEN).unwrap(), serde_json::from_value::<Wish>(said).unwrap());
    }

    #[tokio::test]
    async fn an_empty_field_is_none() {
        let fields: Vec<(&str, &[u8])> = ["name", "hold", "days", "groups", "file"].map(|name| (name, &b""[..])).to_vec();
        let mut form = form("XyZ", &fields).await.unwrap();

        assert_eq!(form.take("file"), None);
        let nothing = Wish { name: None, hold: None, days: None, groups: None, urls: None, variables: None };
        assert_eq!(form.values::<Wish>(&WRITTEN).unwrap(), nothing);
    }

    #[tokio::test]
    async fn what_cannot_be_read_of_a_form_is_told_by_its_field() {
        let cases: [(&str, &[u8], &str, &str); 5] = [
            ("hold", b"yes", "hold", "true or false, not \"yes\""),
            ("days", b"-1", "days", "a whole number from 0 to 4294967295, not \"-1\""),
            ("nmae", b"x", "nmae", "there is no such field: did you mean name?"),
            ("groups[x]", b"x", "groups", "a list, not an object"),
            ("name", b"\xff", "name", "a text in UTF-8"),
        ];
        for (name, value, field, reason) in cases {
            let problem = form("XyZ", &[(name, value)]).await.unwrap().values::<Wish>(&WRITTEN).unwrap_err();
            assert_eq!(told(problem), [field, "invalid", reason]);
        }
        // A file in a field that there is none of.
        let problem = form("XyZ", &[("list", b"\xff")]).await.unwrap().values::<Wish>(&WRITTEN).unwrap_err();
        assert!(told(problem)[2].starts_with("there is no such field"));
        let pairs: [[(&str, &[u8]); 2]; 2] = [[("name", b"x"), ("name", b"x")], [("variables", b"x"), ("variables[a]", b"y")]];
        for fields in pairs {
            let problem = match form("XyZ", &fields).await {
                Ok(form) => form.values::<Wish>(&WRITTEN).unwrap_err(),
                Err(problem) => problem,
            };
            assert_eq!(told(problem), [fields[1].0, "invalid", "this field is there twice"]);
        }
    }

    #[tokio::test]
    async fn what_is_no_form_is_told() {
        for (content_type, body) in [
            (FORM, "--x--\r\n"),
            ("multipart/form-data; boundary=x", ""),
            ("multipart/form-data; boundary=x", "{}"),
            ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ncut off"),
        ] {
            let problem = Form::read(parts(content_type), body.into()).await.unwrap_err();
            assert_eq!(told(problem)[1], "not_form", "{content_type}: {body}");
        }
        let nameless = "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n";
        let problem = Form::read(parts("multipart/form-data; boundary=x"), nameless.into()).await.unwrap_err();
        assert_eq!(told(problem)[2], "each part of a form has a name");
    }

    #[tokio::test]
    async fn the_fingerprint_is_of_the_fields_alone() {
        let fields: [[(&str, &[u8]); 2]; 4] =
            [[("a", b"1"), ("b", b"23")], [("a", b"12"), ("b", b"3")], [("a", b"1"), ("b2", b"3")], [("a", b"1"), ("b", b"24")]];
        let [(a, one), (b, other)] = fields[0];
        let mut prints = vec![form("other", &[(b, other), (a, one)]).await.unwrap().fingerprint()];
        for fields in fields {
            prints.push(form("XyZ", &fields).await.unwrap().fingerprint());
        }

        assert_eq!(prints[0], prints[1]);
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), 4);
    }

    #[test]
    fn a_form_is_known_by_its_content_type() {
        for (kind, form) in [
            ("multipart/form-data; boundary=x", true),
            ("Multipart/Form-Data", true),
            ("application/json", false),
            ("multipart/mixed; boundary=x", false),
            ("", false),
        ] {
            assert_eq!(is_form(&parts(kind).headers), form, "{kind}");
        }
    }
}
