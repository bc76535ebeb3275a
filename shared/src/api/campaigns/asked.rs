//! What is asked of a campaign, in JSON or by a form (S2-23).

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::api::form::{self, Form, Written};
use crate::api::problem::Problem;
use crate::api::request::{LARGEST, Printed};
use crate::api::wishes::{Urls, Value, texts};
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::contact::Category;
use crate::domain::recipients;
use crate::usecases::create_campaign::{CampaignRequest as Asked, Rails, Source, TextOf};

/// The field of a form that holds the file.
pub(super) const FILE: &str = "customerList";
/// The fields of a form that are no text.
const WRITTEN: [(&str, Written); 6] = [
    ("hold", Written::Flag),
    ("namesSender", Written::Flag),
    ("upload", Written::Flag),
    ("lapsedAfterDays", Written::Number),
    ("groups", Written::List),
    ("mediaUrls", Written::Words),
];
/// For a file that is too large for one request.
const IN_PARTS: &str = "ask with upload: true, PUT the file in parts, and start";

/// The channels of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CampaignChannel {
    Sms,
    Mms,
    Whatsapp,
}

impl CampaignChannel {
    fn channel(self) -> Channel {
        match self {
            Self::Sms => Channel::Sms,
            Self::Mms => Channel::Mms,
            Self::Whatsapp => Channel::Whatsapp,
        }
    }
}

/// Numbers: a list, or a text with new lines, commas or semicolons between.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text of numbers, or a list of texts")]
pub enum NumberList {
    Text(String),
    List(Vec<String>),
}

impl NumberList {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::Text(text) => recipients::split(&text).into_iter().map(str::to_string).collect(),
            Self::List(list) => list,
        }
    }
}

/// A campaign: what to say, and exactly one of `customerList`, `recipients`, `groups` and `upload`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CampaignRequest {
    pub name: Option<String>,
    /// What it says, with variables in braces: `{customer_name}`. Without it and `template`: that they are missed, and
    /// `offer` and `offerCode`.
    pub body: Option<String>,
    /// The name of a template.
    pub template: Option<String>,
    /// The same for everybody; a column of the file goes first.
    pub variables: Option<BTreeMap<String, Value>>,
    /// `sms` when absent, or `mms` with `mediaUrls`.
    pub channel: Option<CampaignChannel>,
    /// The template's, or `marketing`, when absent.
    pub category: Option<Category>,
    pub media_urls: Option<Urls>,
    /// Which column of the file has the numbers, if its header does not say.
    pub phone_column: Option<String>,
    /// Only those whose `last_order_date` is at least so many days ago, 0 for everybody; 30 when absent and the file has
    /// such a column.
    pub lapsed_after_days: Option<u32>,
    /// At once when absent.
    pub send_at: Option<Timestamp>,
    /// `true` keeps it, once its rows are looked at, until it is started.
    pub hold: Option<bool>,
    /// What is added to marketing that does not say how to opt out; `null` for nothing; by the settings when absent.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub opt_out_text: Option<Option<String>>,
    /// Whether the tenant's name is put before marketing that does not say it; by the settings when absent.
    pub names_sender: Option<bool>,
    /// The variable `restaurant_name`.
    pub restaurant_name: Option<String>,
    /// The variable `offer`.
    pub offer: Option<String>,
    /// The variable `offer_code`.
    pub offer_code: Option<String>,
    /// A file as text: CSV with a header, of which one column has the numbers and the others are variables.
    pub customer_list: Option<String>,
    pub recipients: Option<NumberList>,
    /// The members of these groups, each once.
    pub groups: Option<Vec<String>>,
    /// The file follows: `PUT` its parts, then start it.
    pub upload: Option<bool>,
}

/// The same as a form, with the file in it. More variables are fields of their own, `variables[name]`. An empty field is
/// none; an empty `optOutText` is for nothing.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // read by the derive alone
pub struct CampaignForm {
    #[schema(required = false)]
    name: String,
    #[schema(required = false)]
    body: String,
    #[schema(required = false)]
    template: String,
    /// `sms`, `mms` or `whatsapp`.
    #[schema(required = false)]
    channel: String,
    #[schema(required = false)]
    category: String,
    /// With white space between.
    #[schema(required = false)]
    media_urls: String,
    #[schema(required = false)]
    phone_column: String,
    #[schema(required = false)]
    lapsed_after_days: u32,
    #[schema(required = false)]
    send_at: String,
    #[schema(required = false)]
    hold: bool,
    #[schema(required = false)]
    opt_out_text: String,
    #[schema(required = false)]
    names_sender: bool,
    #[schema(required = false)]
    restaurant_name: String,
    #[schema(required = false)]
    offer: String,
    #[schema(required = false)]
    offer_code: String,
    /// CSV with a header, in whatever encoding.
    #[schema(required = false, format = Binary)]
    customer_list: String,
    /// With new lines, commas or semicolons between.
    #[schema(required = false)]
    recipients: String,
    /// With new lines, commas or semicolons between.
    #[schema(required = false)]
    groups: String,
    #[schema(required = false)]
    upload: bool,
}

/// Tells `null` from nothing.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A campaign as it was asked for, in JSON or by a form.
pub struct Whole {
    pub(super) asked: CampaignRequest,
    /// The form's file, in whatever encoding.
    pub(super) file: Option<Bytes>,
    pub(super) fingerprint: String,
}

impl FromRequest<Arc<Context>> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Context>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = form::whole(body, LARGEST, IN_PARTS).await?;
        if !form::is_form(&parts.headers) {
            let Printed { value, fingerprint } = Printed::read(&body)?;
            return Ok(Self { asked: value, file: None, fingerprint });
        }
        let mut form = Form::read(parts, body).await?;
        let fingerprint = form.fingerprint();
        let file = form.take(FILE);
        Ok(Self { asked: form.values(&WRITTEN)?, file, fingerprint })
    }
}

impl CampaignRequest {
    /// Whom it is for, if it says so.
    ///
    /// # Errors
    /// 422 for more than one answer.
    pub(super) fn source(&mut self, file: Option<Bytes>) -> Result<Option<Source>, Problem> {
        let file = file.or(self.customer_list.take().map(Bytes::from));
        let recipients = self.recipients.take().map(NumberList::into_list);
        let sources = [
            file.map(|bytes| (FILE, Source::File(bytes))),
            recipients.map(|numbers| ("recipients", Source::Recipients(numbers))),
            self.groups.take().map(|names| ("groups", Source::Groups(names))),
            (self.upload == Some(true)).then_some(("upload", Source::Upload)),
        ];
        let mut given = sources.into_iter().flatten();
        let Some((field, source)) = given.next() else { return Ok(None) };
        match given.next() {
            Some((other, _)) => Err(Problem::field(other, "exclusive", format!("there is {field} too: give one of them"))),
            None => Ok(Some(source)),
        }
    }

    /// What is asked for.
    ///
    /// # Errors
    /// 422 for two texts.
    pub(super) fn into_request(self, source: Source) -> Result<Asked, Problem> {
        let mut variables = texts(self.variables);
        let own = [("restaurant_name", self.restaurant_name), ("offer", self.offer), ("offer_code", self.offer_code)];
        variables.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))));
        let text = match (self.body, self.template) {
            (Some(_), Some(_)) => return Err(Problem::field("template", "exclusive", "give a body or a template, not both")),
            (Some(body), None) => TextOf::Body(body),
            (None, Some(name)) => TextOf::Template(name),
            (None, None) => TextOf::Default,
        };
        Ok(Asked {
            name: self.name,
            text,
            variables,
            channel: self.channel.map_or(Channel::Sms, CampaignChannel::channel),
            category: self.category,
            media_urls: self.media_urls.map(Urls::into_list).unwrap_or_default(),
            phone_column: self.phone_column,
            lapsed_after_days: self.lapsed_after_days,
            send_at: self.send_at,
            is_held: self.hold == Some(true),
            rails: Rails { opt_out_text: self.opt_out_text, names_sender: self.names_sender },
            source,
        })
    }
}

/// How a file's upload ends, or that a campaign may go which was kept.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRequest {
    /// How many parts the file has, once all are there.
    #[schema(maximum = 64, minimum = 1)]
    pub(super) parts: Option<u32>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> CampaignRequest {
        serde_json::from_value(json).unwrap()
    }

    /// Field and code of the one error.
    fn told(problem: Problem) -> [String; 2] {
        let problem = serde_json::to_value(problem).unwrap();
        ["field", "code"].map(|name| problem["errors"][0][name].as_str().unwrap().to_string())
    }

    #[test]
    fn a_campaign_is_for_one_list_of_people() {
        let csv = "phone\n+15550100201\n";
        for (body, file, wanted) in [
            (json!({}), None, "None"),
            (json!({ "upload": false }), None, "None"),
            (json!({ "upload": true }), None, "Some(Upload)"),
            (json!({ "groups": ["Choir"] }), None, "Some(Groups([\"Choir\"]))"),
            (json!({ "recipients": "+1555;\n(555) 1, " }), None, "Some(Recipients([\"+1555\", \"(555) 1\"]))"),
            (json!({ "recipients": ["+1555", ""] }), None, "Some(Recipients([\"+1555\", \"\"]))"),
            (json!({ "customerList": csv }), None, "Some(File(b\"phone\\n+15550100201\\n\"))"),
            (json!({}), Some(csv), "Some(File(b\"phone\\n+15550100201\\n\"))"),
        ] {
            let source = read(body.clone()).source(file.map(Bytes::from)).unwrap();
            assert_eq!(format!("{source:?}"), wanted, "{body}");
        }
        for (body, field) in [
            (json!({ "upload": true, "groups": ["Choir"] }), "upload"),
            (json!({ "customerList": csv, "recipients": "+1555" }), "recipients"),
        ] {
            let problem = read(body).source(None).unwrap_err();
            assert_eq!(told(problem), [field, "exclusive"]);
        }
    }

    #[test]
    fn what_restaurants_name_are_variables() {
        let asked = json!({
            "restaurantName": "Luigi's", "offer": "2 for 1", "offerCode": "BACK20", "variables": { "table": 7, "offer": "none" },
        });

        let asked = read(asked).into_request(Source::Upload).unwrap();

        let variables = [("offer", "2 for 1"), ("offer_code", "BACK20"), ("restaurant_name", "Luigi's"), ("table", "7")];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(asked.variables, BTreeMap::from(variables));
        assert!(matches!(asked.text, TextOf::Default));
        assert_eq!((asked.channel, asked.is_held), (Channel::Sms, false));
    }

    #[test]
    fn one_text_is_said_and_null_is_not_nothing() {
        let both = read(json!({ "body": "Hi", "template": "win_back" })).into_request(Source::Upload);
        assert_eq!(told(both.unwrap_err()), ["template", "exclusive"]);
        for (body, wanted) in [
            (json!({}), None),
            (json!({ "optOutText": null }), Some(None)),
            (json!({ "optOutText": "STOP ends it" }), Some(Some("STOP ends it".to_string()))),
        ] {
            assert_eq!(read(body).into_request(Source::Upload).unwrap().rails.opt_out_text, wanted);
        }
    }
}
