//! Twilio's webhooks: status callbacks, inbound texts and calls, believed only if signed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::arrival::Arrival;
use super::problem::Problem;
use crate::context::{Account, Context};
use crate::domain::inbound::{Media, Peer};
use crate::domain::message::MessageId;
use crate::domain::tenant::TenantId;
use crate::store::messages::Whose;
use crate::twilio::client::is_sid;
use crate::twilio::credentials::Credentials;
use crate::twilio::form::Form;
use crate::twilio::signature::{self, Algorithm};
use crate::twilio::status_callback::{self, Of};
use crate::twilio::twiml::{self, Voice};
use crate::usecases::record_call::{Ringing, record_call, record_keypress};
use crate::usecases::record_inbound::{Text, inbound_id, record_inbound};
use crate::usecases::record_status::record_status;

/// A request that Twilio signed for this tenant's account. Nothing else gets this far.
pub struct Signed {
    tenant: TenantId,
    form: Form,
    /// The message of ours that its URL names.
    message: Option<MessageId>,
}

/// `POST /twilio/{tenant}/status?message={id}`.
pub async fn status(State(cx): State<Arc<Context>>, Arrival(now): Arrival, signed: Signed) -> Result<StatusCode, Problem> {
    let message = signed.message.clone().map(|id| (id, Whose::Ours));
    reported(&cx, &signed, message, Of::Message, now).await
}

/// `POST /twilio/{tenant}/voice/status?message={id}`: how far a call got; one that came in has no id of ours
/// in its URL, and is known by its SID.
pub async fn voice_status(State(cx): State<Arc<Context>>, Arrival(now): Arrival, signed: Signed) -> Result<StatusCode, Problem> {
    let by_sid = || Some((inbound_id(&signed.tenant, signed.form.get("CallSid")?), Whose::Theirs));
    let message = signed.message.clone().map(|id| (id, Whose::Ours)).or_else(by_sid);
    reported(&cx, &signed, message, Of::Call, now).await
}

/// Records what a status callback says.
async fn reported(
    cx: &Context,
    signed: &Signed,
    message: Option<(MessageId, Whose)>,
    of: Of,
    now: Timestamp,
) -> Result<StatusCode, Problem> {
    let Signed { tenant, form, .. } = signed;
    let (Some((id, whose)), Some(report)) = (message, status_callback::report(form, of)) else {
        // Twilio signed it, so repeating it would not make it complete.
        tracing::warn!(%tenant, "a status callback without message, SID or status was ignored");
        return Ok(StatusCode::NO_CONTENT);
    };
    record_status(cx, tenant, &id, &report, whose, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /twilio/{tenant}/inbound`: a text. Answered with TwiML, empty or with the tenant's answer: `text/plain`
/// would be sent as it is.
pub async fn inbound(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Signed { tenant, form, .. }: Signed,
) -> Result<Response, Problem> {
    let Some(text) = text(&form) else {
        tracing::warn!(%tenant, "a text without SID or sender was ignored");
        return Ok(xml(twiml::nothing()));
    };
    let answer = record_inbound(&cx, &tenant, &text, now).await?;
    Ok(xml(answer.map_or_else(twiml::nothing, |reply| {
        let callback = status_callback::url(&cx.config.public_url, &tenant, Of::Message, &reply.id);
        twiml::message(&reply.text, &callback)
    })))
}

/// `POST /twilio/{tenant}/voice`: somebody calls, or has pressed a key in a call.
pub async fn voice(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Signed { tenant, form, .. }: Signed,
) -> Result<Response, Problem> {
    let settings = cx.settings(&tenant, now).await?;
    let voice = Voice { name: settings.greeting.voice.as_deref(), language: settings.greeting.language.as_deref() };
    let spoken = settings.greeting.spoken(&settings.name);
    let Some(call) = ringing(&form) else {
        tracing::warn!(%tenant, "a call without SID or caller was ignored");
        return Ok(xml(twiml::hang_up(None, voice)));
    };
    let is_ours = form.get("Direction").is_some_and(|direction| direction.starts_with("outbound"));
    if let Some(digits) = form.get("Digits") {
        let other = if is_ours { &call.to } else { &call.from };
        let other = Peer::parse(other, &settings.default_region);
        let said = match (digits, other.number()) {
            ("9", Some(number)) => {
                record_keypress(&cx, &tenant, &call.sid, number, now).await?;
                spoken.opted_out
            }
            _ => spoken.good_bye,
        };
        return Ok(xml(twiml::hang_up(Some(&said), voice)));
    }
    if !is_ours {
        record_call(&cx, &tenant, &call, now).await?;
    }
    let url = format!("{}/twilio/{tenant}/voice", cx.config.public_url);
    Ok(xml(twiml::ask_for_key(&[&spoken.greeting, &spoken.opt_out], &url, &spoken.good_bye, voice)))
}

fn xml(twiml: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml")], twiml).into_response()
}

/// What we read of a text; the rest is kept as it is.
fn text(form: &Form) -> Option<Text> {
    const READ: [&str; 11] = [
        "MessageSid",
        "SmsSid",
        "SmsMessageSid",
        "AccountSid",
        "ApiVersion",
        "SmsStatus",
        "From",
        "To",
        "Body",
        "NumMedia",
        "OptOutType",
    ];
    let sid = ["MessageSid", "SmsSid", "SmsMessageSid"].iter().find_map(|name| form.get(name)).filter(|sid| is_sid(sid))?;
    let owned = |name: &str| address(form, name);
    let count: usize = form.get("NumMedia").and_then(|count| count.parse().ok()).unwrap_or_default();
    let media = (0..count.min(MOST_MEDIA)).filter_map(|at| {
        let url = form.get(&format!("MediaUrl{at}")).filter(|url| url.len() <= LONGEST_URL)?.to_string();
        Some(Media { url, content_type: owned(&format!("MediaContentType{at}")) })
    });
    Some(Text {
        sid: sid.to_string(),
        from: owned("From")?,
        to: owned("To").unwrap_or_default(),
        body: form.get("Body").unwrap_or_default().to_string(),
        media: media.collect(),
        opt_out_type: owned("OptOutType"),
        buttons: ["ButtonPayload", "ButtonText"].into_iter().filter_map(owned).collect(),
        replied_to: owned("OriginalRepliedMessageSid"),
        params: kept(form, |name| READ.contains(&name) || name.starts_with("MediaUrl") || name.starts_with("MediaContentType")),
    })
}

fn ringing(form: &Form) -> Option<Ringing> {
    const READ: [&str; 9] = ["CallSid", "AccountSid", "ApiVersion", "From", "To", "Caller", "Called", "CallStatus", "Direction"];
    Some(Ringing {
        sid: form.get("CallSid").filter(|sid| is_sid(sid))?.to_string(),
        from: address(form, "From").unwrap_or("anonymous".into()),
        to: address(form, "To").unwrap_or_default(),
        params: kept(form, |name| READ.contains(&name)),
    })
}

/// Twilio's requests have some kilobytes.
const LARGEST: usize = 1024 * 1024;
/// Twilio sends ten at most.
const MOST_MEDIA: usize = 10;
const LONGEST_ADDRESS: usize = 256;
const LONGEST_URL: usize = 2048;
/// Of what we do not read, so much is kept, in bytes.
const MOST_KEPT: usize = 16_000;

/// An address, a word or an id: longer than any of Twilio's, it is cut.
fn address(form: &Form, name: &str) -> Option<String> {
    form.get(name).map(|value| value.chars().take(LONGEST_ADDRESS).collect())
}

/// The parameters that are not read, as far as they say something.
fn kept(form: &Form, is_read: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut size = 0;
    // Tokens are Twilio's, for its own use.
    let is_kept = |name: &str| !is_read(name) && !name.ends_with("Token");
    let others = form.0.iter().filter(|(name, value)| !value.is_empty() && is_kept(name));
    let fits = others.take_while(|(name, value)| {
        size += name.len() + value.len();
        size <= MOST_KEPT
    });
    fits.cloned().collect()
}

impl FromRequest<Arc<Context>> for Signed {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, cx: &Arc<Context>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Ok(Arrival(now)) = Arrival::from_request_parts(&mut parts, cx).await;
        let tenant = Path::<String>::from_request_parts(&mut parts, cx).await.map_err(|_| refused())?.0;
        let body = axum::body::to_bytes(body, LARGEST).await.map_err(|_| Problem::too_large("more than Twilio ever sends"))?;
        signed(cx, &tenant, &parts.uri, &parts.headers, &body, now).await
    }
}

fn refused() -> Problem {
    Problem::forbidden("the request is not signed by this tenant's Twilio account")
}

/// The request, if Twilio signed it for this tenant's account: with the current token, the previous one, or
/// one that was stored a moment ago.
async fn signed(
    cx: &Context,
    tenant: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    now: Timestamp,
) -> Result<Signed, Problem> {
    let tenant = TenantId::parse(tenant).map_err(|_| refused())?;
    let request = Request::read(cx, uri, headers, body).ok_or_else(refused)?;
    for _ in 0..2 {
        // That there is none is remembered, too: anybody may ask for anything here.
        let Account::Twilio(credentials) = cx.account(&tenant, now).await? else { return Err(refused()) };
        if request.is_signed(&credentials) {
            let message = query(uri, "message").and_then(|id| MessageId::parse(&id));
            return Ok(Signed { tenant, form: request.form, message });
        }
        if !cx.refresh(&tenant, now) {
            break;
        }
    }
    Err(refused())
}

/// What a signature is about.
struct Request<'a> {
    url: String,
    signature: &'a str,
    algorithm: Algorithm,
    form: Form,
    /// A body of JSON, which the URL holds the hash of.
    json: Option<&'a Bytes>,
}

impl<'a> Request<'a> {
    /// `None` for one that says nothing of a signature, or of one that we do not know.
    fn read(cx: &Context, uri: &Uri, headers: &'a HeaderMap, body: &'a Bytes) -> Option<Self> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        let is_json = header("content-type").is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("application/json"));
        Some(Self {
            url: format!("{}{path_and_query}", cx.config.public_url),
            signature: header("x-twilio-signature")?,
            algorithm: Algorithm::from_settings(header("x-twilio-webhooks-signature-settings"))?,
            form: if is_json { Form::parse_json(body) } else { Form::parse(body) },
            json: is_json.then_some(body),
        })
    }

    fn is_signed(&self, credentials: &Credentials) -> bool {
        let Self { url, signature, algorithm, form, .. } = self;
        let tokens = credentials.signing_tokens();
        let is_signed = match self.json {
            Some(body) => signature::verify_json(*algorithm, tokens, url, body, signature),
            None => signature::verify(*algorithm, tokens, url, &form.0, signature),
        };
        // A subaccount's token is its own: a signature is of one account, and says of which.
        is_signed && form.get("AccountSid") == Some(&credentials.account_sid)
    }
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
