//! The phone numbers of an account: those that it has, those that it could buy, and where what comes in at them goes.
//!
//! Source: twilio.com/docs/phone-numbers/api/incomingphonenumber-resource and …/availablephonenumber-resource.

use serde::{Deserialize, Serialize};

use super::rest::{Rest, RestError};
use crate::domain::tenant::TenantId;

/// What a number can do. The list of what is for sale has some of the names in capitals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capabilities {
    #[serde(default, alias = "SMS")]
    pub sms: bool,
    #[serde(default, alias = "MMS")]
    pub mms: bool,
    #[serde(default, alias = "Voice")]
    pub voice: bool,
}

/// A number of the account's.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Owned {
    /// `PN…`.
    pub sid: String,
    /// E.164.
    pub phone_number: String,
    #[serde(default)]
    pub friendly_name: Option<String>,
    #[serde(default)]
    pub capabilities: Capabilities,
    #[serde(default)]
    pub sms_url: Option<String>,
    #[serde(default)]
    pub voice_url: Option<String>,
    #[serde(default)]
    pub status_callback: Option<String>,
    /// Where there is an application, its URLs count and the number's own do not.
    #[serde(default)]
    pub sms_application_sid: Option<String>,
    #[serde(default)]
    pub voice_application_sid: Option<String>,
}

/// A number that is for sale.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Offered {
    pub phone_number: String,
    #[serde(default)]
    pub friendly_name: Option<String>,
    #[serde(default)]
    pub locality: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
    #[serde(default)]
    pub postal_code: Option<String>,
    #[serde(default)]
    pub iso_country: Option<String>,
    #[serde(default)]
    pub capabilities: Capabilities,
    /// `none`, `any`, `local` or `foreign`: the address that whoever buys it has to show.
    #[serde(default)]
    pub address_requirements: Option<String>,
}

/// The kinds of number that are for sale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NumberKind {
    #[default]
    Local,
    Mobile,
    TollFree,
}

impl NumberKind {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "Local",
            Self::Mobile => "Mobile",
            Self::TollFree => "TollFree",
        }
    }
}

/// What somebody looks for.
#[derive(Clone, Debug)]
pub struct Search {
    /// ISO 3166, two capitals.
    pub country: String,
    pub kind: NumberKind,
    pub area_code: Option<String>,
    /// Digits and letters, `*` for any.
    pub contains: Option<String>,
    pub sms: Option<bool>,
    pub mms: Option<bool>,
    pub voice: Option<bool>,
    pub limit: u32,
}

/// Our webhooks, as a number has to be told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    pub sms: String,
    pub voice: String,
    pub voice_status: String,
}

/// Asks Twilio to repeat what we could not take; neither sent nor signed (twilio-facts §4).
const RETRIES: &str = "#rc=3&rp=5xx,ct,rt";

impl Hooks {
    pub fn of(public_url: &str, tenant: &TenantId) -> Self {
        let hook = |path: &str| format!("{public_url}/twilio/{tenant}/{path}{RETRIES}");
        Self { sms: hook("inbound"), voice: hook("voice"), voice_status: hook("voice/status") }
    }

    fn form(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("SmsUrl", self.sms.as_str()),
            ("SmsMethod", "POST"),
            ("VoiceUrl", self.voice.as_str()),
            ("VoiceMethod", "POST"),
            ("StatusCallback", self.voice_status.as_str()),
            ("StatusCallbackMethod", "POST"),
        ]
    }
}

impl Owned {
    /// Whether what comes in at it comes to us, of what it can do.
    pub fn is_wired(&self, hooks: &Hooks) -> bool {
        let Capabilities { sms, mms, voice } = self.capabilities;
        let texts = is_at(self.sms_url.as_deref(), &hooks.sms) && !is_set(&self.sms_application_sid);
        let calls = is_at(self.voice_url.as_deref(), &hooks.voice)
            && is_at(self.status_callback.as_deref(), &hooks.voice_status)
            && !is_set(&self.voice_application_sid);
        (texts || !(sms || mms)) && (calls || !voice)
    }
}

/// Whether `url` is `ours`, whatever it asks of Twilio in its fragment.
fn is_at(url: Option<&str>, ours: &str) -> bool {
    let bare = |url: &str| url.split('#').next().unwrap_or_default().trim_end_matches('/').to_string();
    url.is_some_and(|url| bare(url) == bare(ours))
}

fn is_set(sid: &Option<String>) -> bool {
    sid.as_ref().is_some_and(|sid| !sid.is_empty())
}

#[derive(Deserialize)]
struct Page {
    incoming_phone_numbers: Vec<Owned>,
    #[serde(default)]
    next_page_uri: Option<String>,
}

/// So many pages of a thousand are read.
const MOST_PAGES: usize = 10;
const LIST: &str = "/IncomingPhoneNumbers.json";

/// Every number of the account.
pub async fn list(rest: Rest<'_>) -> Result<Vec<Owned>, RestError> {
    let mut page: Page = rest.get(LIST, &[("PageSize", "1000")]).await?;
    let mut owned = Vec::new();
    for _ in 1..MOST_PAGES {
        owned.append(&mut page.incoming_phone_numbers);
        // Below the same account, so that nobody else ever gets its credentials.
        let account = format!("/2010-04-01/Accounts/{}", rest.credentials.account_sid);
        let next = page.next_page_uri.take();
        let Some(next) = next.as_deref().and_then(|uri| uri.strip_prefix(&account)).filter(|path| path.starts_with(LIST)) else {
            break;
        };
        page = rest.get(next, &[]).await?;
    }
    owned.append(&mut page.incoming_phone_numbers);
    Ok(owned)
}

/// Whether the account's numbers may be looked at; reads one at most.
pub async fn probe(rest: Rest<'_>) -> Result<(), RestError> {
    rest.get::<Page>(LIST, &[("PageSize", "1")]).await.map(|_| ())
}

/// The account's number `e164`, if it has it.
pub async fn find(rest: Rest<'_>, e164: &str) -> Result<Option<Owned>, RestError> {
    let page: Page = rest.get(LIST, &[("PhoneNumber", e164), ("PageSize", "20")]).await?;
    // Twilio takes a part of a number for it, too.
    Ok(page.incoming_phone_numbers.into_iter().find(|owned| owned.phone_number == e164))
}

/// What is for sale. None also where a country has no numbers of that kind.
pub async fn search(rest: Rest<'_>, search: &Search) -> Result<Vec<Offered>, RestError> {
    #[derive(Deserialize)]
    struct Offers {
        available_phone_numbers: Vec<Offered>,
    }
    let word = |flag: bool| if flag { "true" } else { "false" };
    let limit = search.limit.to_string();
    let asked = [
        ("AreaCode", search.area_code.as_deref()),
        ("Contains", search.contains.as_deref()),
        ("SmsEnabled", search.sms.map(word)),
        ("MmsEnabled", search.mms.map(word)),
        ("VoiceEnabled", search.voice.map(word)),
        ("PageSize", Some(limit.as_str())),
    ];
    let query: Vec<(&str, &str)> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let path = format!("/AvailablePhoneNumbers/{}/{}.json", search.country, search.kind.word());
    match rest.get::<Offers>(&path, &query).await {
        Ok(offers) => Ok(offers.available_phone_numbers),
        Err(error) if error.is_not_found() || error.code() == Some(NONE_IN_AREA) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// No numbers are for sale in that area code.
pub const NONE_IN_AREA: u32 = 21452;
/// The number is not for sale, or no more.
pub const NOT_AVAILABLE: u32 = 21422;
/// It is no number.
pub const INVALID: u32 = 21421;
/// The country asks whoever buys for an address, a local one, or papers.
pub const ADDRESS_REQUIRED: [u32; 4] = [21615, 21631, 21649, 21651];

/// Buys `e164`, with our webhooks.
///
/// # Errors
/// After [`RestError::refusal`] of `None` it may have been bought: look with [`find`] before asking again.
pub async fn buy(
    rest: Rest<'_>,
    e164: &str,
    hooks: &Hooks,
    address_sid: Option<&str>,
    bundle_sid: Option<&str>,
) -> Result<Owned, RestError> {
    let mut form = vec![("PhoneNumber", e164)];
    form.extend(hooks.form());
    form.extend(
        [("AddressSid", address_sid), ("BundleSid", bundle_sid)].into_iter().filter_map(|(name, sid)| Some((name, sid?))),
    );
    rest.post(LIST, &form).await
}

/// Points what comes in at a number to our webhooks.
pub async fn wire(rest: Rest<'_>, owned: &Owned, hooks: &Hooks) -> Result<Owned, RestError> {
    let mut form = hooks.form();
    let applications = [("SmsApplicationSid", &owned.sms_application_sid), ("VoiceApplicationSid", &owned.voice_application_sid)];
    form.extend(applications.into_iter().filter(|(_, sid)| is_set(sid)).map(|(name, _)| (name, "")));
    rest.post(&format!("/IncomingPhoneNumbers/{}.json", owned.sid), &form).await
}

/// Gives a number back. Whether it was there.
pub async fn release(rest: Rest<'_>, sid: &str) -> Result<bool, RestError> {
    rest.delete(&format!("/IncomingPhoneNumbers/{sid}.json")).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hooks() -> Hooks {
        Hooks::of("https://hooks.example", &TenantId::parse("t").unwrap())
    }

    fn owned(more: serde_json::Value) -> Owned {
        let mut json = serde_json::json!({
            "sid": "PN1", "phone_number": "+15005550006", "capabilities": { "sms": true, "mms": false, "voice": true, "fax": false },
            "sms_url": "https://hooks.example/twilio/t/inbound",
            "voice_url": "https://hooks.example/twilio/t/voice#rc=1",
            "status_callback": "https://hooks.example/twilio/t/voice/status",
            "sms_application_sid": "",
        });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_number_is_wired_when_all_that_it_can_do_comes_to_us() {
        let wired = |more| owned(more).is_wired(&hooks());
        assert!(wired(serde_json::json!({})), "whatever the fragments say");
        assert!(!wired(serde_json::json!({ "sms_url": "https://elsewhere.example/sms" })));
        assert!(!wired(serde_json::json!({ "sms_url": null })));
        assert!(!wired(serde_json::json!({ "sms_url": "https://hooks.example/twilio/other/inbound" })));
        assert!(!wired(serde_json::json!({ "status_callback": "" })));
        assert!(!wired(serde_json::json!({ "sms_application_sid": "AP1" })), "an application's URLs count instead");
        assert!(wired(serde_json::json!({ "voice_url": "", "capabilities": { "sms": true } })), "nobody can call it");
    }

    #[test]
    fn capabilities_are_read_in_either_spelling() {
        let read = |json| serde_json::from_value::<Capabilities>(json).unwrap();
        assert_eq!(
            read(serde_json::json!({ "SMS": true, "MMS": true, "voice": false })),
            Capabilities { sms: true, mms: true, voice: false }
        );
        assert_eq!(read(serde_json::json!({})), Capabilities::default());
    }
}
