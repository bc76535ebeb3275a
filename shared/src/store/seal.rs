//! Encryption of personal data inside items, and the keyed hash that looks numbers up.
//!
//! AES-256-GCM with a nonce derived from key, place and plaintext (as AES-SIV does): equal texts in
//! one place seal equally, and no nonce ever serves two texts. The place (the item's partition key)
//! is authenticated, so a sealed value copied to another item does not open.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::domain::phone::PhoneNumber;

/// The deployment's keys as they lie in Secrets Manager: base64 of 32 bytes each.
///
/// To rotate, add a key and make it `current`; what an older key sealed still opens.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeySecret {
    pub current: String,
    pub keys: BTreeMap<String, String>,
    /// Never rotated: an opt-out is found by it for ever.
    pub hash: String,
}

/// The keys, ready for use.
pub struct Keyring {
    current: String,
    keys: BTreeMap<String, SealingKey>,
    hash: hmac::Key,
}

struct SealingKey {
    aead: LessSafeKey,
    nonce: hmac::Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the data keys are not 32 bytes of base64 each, or `current` names none of them")]
    BadKeys,
    #[error("sealed with a key that is no longer in the data keys")]
    UnknownKey,
    #[error("a sealed value was changed or moved")]
    Broken,
}

impl Keyring {
    /// # Errors
    /// [`SealError::BadKeys`]: mend the secret.
    pub fn new(secret: &KeySecret) -> Result<Self, SealError> {
        let mut keys = BTreeMap::new();
        for (id, encoded) in &secret.keys {
            let bytes = key_bytes(encoded)?;
            let aead = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| SealError::BadKeys)?;
            let nonce = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"carillon nonce");
            keys.insert(
                id.clone(),
                SealingKey { aead: LessSafeKey::new(aead), nonce: hmac::Key::new(hmac::HMAC_SHA256, nonce.as_ref()) },
            );
        }
        if !keys.contains_key(&secret.current) || secret.current.len() > 255 {
            return Err(SealError::BadKeys);
        }
        let hash = hmac::Key::new(hmac::HMAC_SHA256, &key_bytes(&secret.hash)?);
        Ok(Self { current: secret.current.clone(), keys, hash })
    }

    /// Layout: length of the key's id, the id, the nonce, the ciphertext with its tag.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[&self.current];
        let mut context = hmac::Context::with_key(&key.nonce);
        context.update(&(place.len() as u64).to_be_bytes());
        context.update(place.as_bytes());
        context.update(plain);
        let tag = context.sign();
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&tag.as_ref()[..NONCE_LEN]);
        let mut body = plain.to_vec();
        key.aead
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut body)
            .expect("an item's field is far below AES-GCM's 64 GB");
        let mut sealed = Vec::with_capacity(1 + self.current.len() + NONCE_LEN + body.len());
        sealed.push(self.current.len() as u8);
        sealed.extend_from_slice(self.current.as_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        sealed
    }

    /// # Errors
    /// [`SealError::UnknownKey`] after a key was taken away, [`SealError::Broken`] when somebody wrote into the table.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (&length, rest) = sealed.split_first().ok_or(SealError::Broken)?;
        let (id, rest) = rest.split_at_checked(length.into()).ok_or(SealError::Broken)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Broken)?;
        let id = std::str::from_utf8(id).map_err(|_| SealError::Broken)?;
        let key = self.keys.get(id).ok_or(SealError::UnknownKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut body = body.to_vec();
        let plain = key.aead.open_in_place(nonce, Aad::from(place.as_bytes()), &mut body).map_err(|_| SealError::Broken)?;
        Ok(plain.to_vec())
    }

    /// The keyed hash by which a number is looked up, as hex.
    pub fn number_hash(&self, number: &PhoneNumber) -> String {
        self.address_hash(number.e164())
    }

    /// Signs `text` for one purpose, as hex: what we hand out and want to know again.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        let mut context = hmac::Context::with_key(&self.hash);
        context.update(&(purpose.len() as u64).to_be_bytes());
        context.update(purpose.as_bytes());
        context.update(text.as_bytes());
        context.sign().as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `signature` is what [`Keyring::sign`] made of `text`. In constant time.
    pub fn is_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let expected = self.sign(purpose, text);
        let differing = expected.bytes().zip(signature.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        expected.len() == signature.len() && differing == 0
    }

    /// The same of any address that somebody writes from, in any case.
    pub fn address_hash(&self, address: &str) -> String {
        let tag = hmac::sign(&self.hash, address.to_uppercase().as_bytes());
        tag.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn key_bytes(encoded: &str) -> Result<Vec<u8>, SealError> {
    BASE64.decode(encoded).ok().filter(|bytes| bytes.len() == 32).ok_or(SealError::BadKeys)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secret(current: &str) -> KeySecret {
        let key = |byte: u8| BASE64.encode([byte; 32]);
        KeySecret { current: current.into(), keys: [("a".into(), key(1)), ("b".into(), key(2))].into(), hash: key(3) }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let old = Keyring::new(&secret("a")).unwrap();
        let rotated = Keyring::new(&secret("b")).unwrap();
        let sealed = old.seal("here", "+15551234567".as_bytes());

        assert_eq!(rotated.open("here", &sealed).unwrap(), b"+15551234567");
        assert_eq!(rotated.open("there", &sealed), Err(SealError::Broken));
        assert!(!sealed.windows(4).any(|window| window == b"5551"));
        for cut in 0..sealed.len() {
            assert!(rotated.open("here", &sealed[..cut]).is_err());
        }
    }
}
