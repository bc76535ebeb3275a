//! Tokens as an OIDC issuer would give them, minted and checked on this machine only.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// What signs and checks the tokens of one installation.
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub sub: String,
    /// The platform's people are no tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub role: String,
    /// Seconds since 1970.
    pub exp: i64,
}

/// Whom a token may make of its bearer: somebody of a tenant, or of the platform, which makes tenants.
pub const ROLES: [&str; 4] = ["viewer", "staff", "admin", PLATFORM];
const PLATFORM: &str = "platform";

const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 30);

impl TokenKey {
    pub fn new(secret: &[u8]) -> Self {
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret) }
    }
}

/// A token for `tenant` in `role`, good for 30 days. One of the platform's names no tenant, whatever `tenant` says.
///
/// # Errors
/// When the signing fails, which an HMAC key of any length does not.
pub fn mint(key: &TokenKey, tenant: &str, role: &str, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
    let tenant = (role != PLATFORM).then(|| tenant.to_string());
    let claims = Claims { sub: "you".into(), tenant, role: role.into(), exp: (now + LIFETIME).as_second() };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key.encoding)
}

/// The claims of a token that we minted and that has not expired.
pub fn verify(key: &TokenKey, token: &str, now: Timestamp) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The clock is ours, and may be virtual.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok()?.claims;
    (claims.exp > now.as_second()).then_some(claims)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_platform_names_no_tenant() {
        let key = TokenKey::new(b"a key of this installation");
        let now: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();

        let of = |role: &str| verify(&key, &mint(&key, "sample", role, now).unwrap(), now).unwrap();

        assert_eq!(of("staff").tenant.as_deref(), Some("sample"));
        assert_eq!((of("platform").tenant, of("platform").role.as_str()), (None, "platform"));
    }
}
