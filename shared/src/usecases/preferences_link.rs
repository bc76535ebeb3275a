//! Links by which contacts see and change their own preferences, without a password (S0-50).
//!
//! A link names the contact and an instant, signed with the deployment's key: nothing is stored, and nothing but
//! the keys is asked to know one again. It is good for the numbers that the contact had then: whoever has the id of
//! somebody forgotten, or somebody else's number from now on, is not opened by it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::{Context, ContextError};
use crate::domain::contact::Contact;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::seal::Keyring;

/// Whose preferences may be changed, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub tenant: TenantId,
    pub contact: String,
    /// A keyed hash of the contact's numbers.
    numbers: String,
    pub expires_at: Timestamp,
}

/// What a token says, in few bytes.
#[derive(Serialize, Deserialize)]
struct Claims {
    t: TenantId,
    c: String,
    n: String,
    /// In seconds.
    e: i64,
}

const PURPOSE: &str = "preferences";
/// Enough of a hash to tell one contact's numbers from another's: links go by text.
const SHORT: usize = 16;

fn numbers(keyring: &Keyring, contact: &Contact) -> String {
    let all: Vec<&str> = contact.numbers().into_iter().map(PhoneNumber::e164).collect();
    keyring.sign("preferences of numbers", &all.join(" ")).chars().take(SHORT).collect()
}

/// The part of the URL that says it all: `base64url(claims).signature`.
pub async fn sign_link(
    cx: &Context,
    tenant: &TenantId,
    contact: &Contact,
    expires_at: Timestamp,
) -> Result<String, ContextError> {
    let keyring = cx.table().await?.keyring();
    let numbers = numbers(keyring, contact);
    let claims = Claims { t: tenant.clone(), c: contact.id.clone(), n: numbers, e: expires_at.as_second() };
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
    let signature = keyring.sign(PURPOSE, &claims);
    Ok(format!("{claims}.{signature}"))
}

impl Link {
    /// Whether it was made for this contact, as its numbers are now.
    pub fn opens(&self, keyring: &Keyring, contact: &Contact) -> bool {
        self.contact == contact.id && self.numbers == numbers(keyring, contact)
    }
}

/// The link of a token; `None` for one that is not ours, or expired.
pub async fn read_link(cx: &Context, token: &str, now: Timestamp) -> Result<Option<Link>, ContextError> {
    let Some((claims, signature)) = token.split_once('.') else { return Ok(None) };
    if !cx.table().await?.keyring().is_signed(PURPOSE, claims, signature) {
        return Ok(None);
    }
    let claims: Option<Claims> = URL_SAFE_NO_PAD.decode(claims).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let link = claims.and_then(|Claims { t, c, n, e }| {
        Some(Link { tenant: t, contact: c, numbers: n, expires_at: Timestamp::from_second(e).ok()? })
    });
    Ok(link.filter(|link| link.expires_at > now))
}
