//! What a template would be as a message, with samples for what nobody said (S3-29, S0-33..41, S3-52).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::preview_message::{Preview, preview_message};
use super::send_message::{Request, SendError, invalid};
use crate::context::Context;
use crate::domain::catalogue::{self, Listed};
use crate::domain::channel::Channel;
use crate::domain::compose::{FieldError, Wish};
use crate::domain::contact::{Category, attribute_key};
use crate::domain::phone::{PhoneNumber, Strictness};
use crate::domain::samples::{ANYBODY, of_missing};
use crate::domain::template::Template;
use crate::domain::tenant::{Settings, TenantId};
use crate::domain::texts;
use crate::store::templates;

/// What somebody wants to see of a template.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Somebody of the tenant's own country when neither a number nor a contact is named.
    pub to: Option<String>,
    pub contact_id: Option<String>,
    pub channels: Vec<Channel>,
    pub variables: BTreeMap<String, String>,
    /// A text that is not stored, instead of the template's own.
    pub text: Option<String>,
    /// The template's own when absent.
    pub category: Option<Category>,
}

/// A message that could be made from a template.
#[derive(Clone, Debug)]
pub struct Seen {
    pub preview: Preview,
    /// What stands for variables that have no value; without them it would not go.
    pub samples: BTreeMap<String, String>,
    /// Variables that were given and that the text does not have.
    pub unused: Vec<String>,
}

/// What the template `name` would send; `None` if there is none, and no text instead. Writes nothing.
///
/// # Errors
/// As sending would refuse it, but for missing variables.
pub async fn preview_template(
    cx: &Context,
    tenant: &TenantId,
    name: &str,
    look: Look,
    now: Timestamp,
) -> Result<Option<Seen>, SendError> {
    let settings = cx.settings(tenant, now).await?;
    let stored = templates::get(cx.table().await?, tenant, name).await?;
    let listed = catalogue::find(&settings, name, stored);
    let text = match (&look.text, &listed) {
        (Some(text), _) => Template::parse(text).map_err(|error| invalid(FieldError::new("text", "bad_template", error)))?,
        (None, Some(listed)) => listed.written.template.text.clone(),
        (None, None) => return Ok(None),
    };
    let known: Vec<String> = text.variables().into_iter().map(attribute_key).collect();
    let unused = look.variables.keys().filter(|name| !known.contains(&attribute_key(name))).cloned().collect();
    // Somebody may have changed it elsewhere.
    cx.forget_template(tenant, name);
    let mut request = Request { wish: wish(&settings, look, listed.as_ref()), key: String::new(), sent_by: None };
    let mut samples = BTreeMap::new();
    let as_it_is = preview_message(cx, tenant, &request, now).await;
    let preview = match as_it_is {
        Err(SendError::Invalid(errors)) => {
            samples = of_missing(errors).map_err(of_text)?;
            request.wish.variables.extend(samples.clone());
            preview_message(cx, tenant, &request, now).await
        }
        preview => preview,
    };
    match preview {
        Ok(preview) => Ok(Some(Seen { preview, samples, unused })),
        Err(SendError::Invalid(errors)) => Err(of_text(errors)),
        Err(error) => Err(error),
    }
}

/// As sending by the template's name, or by its type, would have it; as a body if that would be refused.
fn wish(settings: &Settings, look: Look, listed: Option<&Listed>) -> Wish {
    let template = listed.map(|listed| &listed.written.template);
    let kind = listed.and_then(|listed| listed.kind);
    let to = look.to.or_else(|| look.contact_id.is_none().then(|| anybody(settings)));
    let category = look.category.or(template.map(|template| template.category));
    let wish = Wish {
        to,
        contact_id: look.contact_id,
        channels: look.channels,
        variables: look.variables,
        kind,
        category,
        ..Wish::default()
    };
    match (look.text, template, kind) {
        (Some(text), _, _) => Wish { body: Some(text), ..wish },
        (None, Some(template), Some(kind)) if texts::asks(settings, kind) => {
            let body = format!("{} {}", template.text.as_str(), settings.answers.prompt());
            Wish { body: Some(body), ..wish }
        }
        (None, Some(template), None) if template.active => Wish { template: Some(template.name.clone()), ..wish },
        (None, Some(template), None) => Wish { body: Some(template.text.as_str().to_string()), ..wish },
        (None, _, _) => wish,
    }
}

/// Where the tenant's own number is, there are its recipients.
fn anybody(settings: &Settings) -> String {
    let senders = [Channel::Voice, Channel::Sms, Channel::Whatsapp].map(|channel| settings.sender(channel));
    let valid = |sender: &str| PhoneNumber::parse(sender, &settings.default_region, Strictness::Valid).ok();
    let own = senders.into_iter().flatten().find_map(valid);
    own.map_or_else(|| ANYBODY.to_string(), |number| number.e164().to_string())
}

/// What a message calls its body is the template's text.
fn of_text(mut errors: Vec<FieldError>) -> SendError {
    for error in errors.iter_mut().filter(|error| error.field == "body") {
        error.field = "text".into();
    }
    SendError::Invalid(errors)
}
