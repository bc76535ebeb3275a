//! `X-Twilio-Signature`: what Twilio signs, and how we check it.
//!
//! The URL is the configured public one, never rebuilt from the request. Sources: twilio.com/docs/usage/security
//! and the validators of Twilio's Python and Node SDKs, whose port rule we follow: with and without.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac};

/// The parameters of a form body, decoded, in the order of the body.
pub type Params = [(String, String)];

/// How a webhook is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    /// Twilio's webhooks-configuration beta, with a shared key in the token's place.
    Sha256,
}

impl Algorithm {
    /// From the header `X-Twilio-Webhooks-Signature-Settings`, if it came and names one; `None` for one that we do
    /// not know. As Twilio's SDK reads it: in any case, with spaces.
    pub fn from_settings(header: Option<&str>) -> Option<Self> {
        let settings = header.unwrap_or_default().split(',').filter_map(|setting| setting.split_once('='));
        let mut named = settings.filter(|(name, _)| name.trim().eq_ignore_ascii_case("algorithm"));
        match named.next().map(|(_, value)| value.trim().to_ascii_uppercase()).as_deref() {
            Some("HMAC_SHA256") => Some(Self::Sha256),
            Some("HMAC_SHA1" | "") | None => Some(Self::Sha1),
            Some(_) => None,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }
}

/// Whether a form POST (or a GET, with no `params`) was signed with one of `tokens`.
pub fn verify<'a>(
    algorithm: Algorithm,
    tokens: impl IntoIterator<Item = &'a str>,
    url: &str,
    params: &Params,
    signature: &str,
) -> bool {
    let Ok(signature) = BASE64.decode(signature) else { return false };
    let tail = canonical(params);
    let urls = spellings(url);
    tokens.into_iter().any(|token| {
        let key = hmac::Key::new(algorithm.hmac(), token.as_bytes());
        urls.iter().any(|url| {
            let mut context = hmac::Context::with_key(&key);
            context.update(url.as_bytes());
            context.update(tail.as_bytes());
            ring_eq(context.sign().as_ref(), &signature)
        })
    })
}

/// Whether a JSON POST was signed: its URL carries the body's hash, and the URL alone is signed.
pub fn verify_json<'a>(
    algorithm: Algorithm,
    tokens: impl IntoIterator<Item = &'a str>,
    url: &str,
    body: &[u8],
    signature: &str,
) -> bool {
    let Some(claimed) = body_hash(url) else { return false };
    let actual = digest::digest(&digest::SHA256, body);
    let actual: String = actual.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    ring_eq(actual.as_bytes(), claimed.as_bytes()) && verify(algorithm, tokens, url, &[], signature)
}

/// The value of the query's `bodySHA256`.
fn body_hash(url: &str) -> Option<&str> {
    let (_, query) = url.split('#').next()?.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256="))
}

/// In constant time for equal lengths.
#[allow(deprecated)] // ring keeps this for want of a stable replacement
fn ring_eq(a: &[u8], b: &[u8]) -> bool {
    ring::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Each distinct name in byte order, with each of its distinct values in byte order; no separators.
fn canonical(params: &Params) -> String {
    let distinct: BTreeSet<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    distinct.iter().flat_map(|(name, value)| [*name, *value]).collect()
}

/// The URL without fragment and userinfo, with and without its port: Twilio's products differ.
fn spellings(url: &str) -> Vec<String> {
    let url = url.split('#').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_string()] };
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port_at = host.rfind(':').filter(|&at| at > host.rfind(']').unwrap_or(0) && !host[at..].contains(']'));
    let default_port = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let (bare, with_port) = match port_at {
        Some(at) => (&host[..at], host.to_string()),
        None => (host, format!("{host}:{default_port}")),
    };
    vec![format!("{scheme}://{bare}{path}"), format!("{scheme}://{with_port}{path}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_read_as_twilios_sdk_reads_it_and_another_is_refused() {
        for header in [None, Some(""), Some("key=k1"), Some("key=k1,algorithm="), Some("Algorithm = hmac_sha1")] {
            assert_eq!(Algorithm::from_settings(header), Some(Algorithm::Sha1), "{header:?}");
        }
        assert_eq!(Algorithm::from_settings(Some("key=k1, algorithm=HMAC_SHA256")), Some(Algorithm::Sha256));
        assert_eq!(Algorithm::from_settings(Some("algorithm=HMAC_MD5")), None);
    }
}
