//! The numbers that accounts have: those that they were set up with, those that they have bought, less those
//! that they have released.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::number;
use super::{Account, LocalTwilio, State, sid};

/// A number of an account: an IncomingPhoneNumber of Twilio's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedNumber {
    pub sid: String,
    pub account_sid: String,
    /// In E.164.
    pub phone_number: String,
    pub friendly_name: String,
    pub capabilities: Capabilities,
    /// Whose address Twilio asks for: `none`, `any` or `local`.
    pub address_requirements: String,
    pub address_sid: Option<String>,
    /// Where texts to it go.
    pub sms_url: Option<String>,
    /// Where calls to it go.
    pub voice_url: Option<String>,
    /// Where it is told that such a call has ended.
    pub status_callback: Option<String>,
    pub created: Timestamp,
    pub date_updated: Timestamp,
}

/// What a number can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub voice: bool,
    pub sms: bool,
    pub mms: bool,
}

/// Where what comes to an address goes.
pub(super) struct Webhooks {
    pub(super) sms_url: Option<String>,
    pub(super) voice_url: Option<String>,
    pub(super) status_callback: Option<String>,
}

/// Since when an account has the numbers that it was set up with: Thu, 30 Jul 2015 20:00:00 UTC.
const SET_UP: Timestamp = Timestamp::constant(1_438_286_400, 0);

impl Capabilities {
    pub(super) const ALL: Self = Self { voice: true, sms: true, mms: true };
}

impl OwnedNumber {
    pub(super) fn is_same(&self, account_sid: &str, phone_number: &str) -> bool {
        self.account_sid == account_sid && self.phone_number == phone_number
    }

    /// A number that an account was set up with, as nobody has changed it.
    fn set_up(account: &Account, phone_number: &str) -> Self {
        Self {
            sid: format!("PN{}", sid::hash(&format!("{}|number|{phone_number}", account.sid))),
            account_sid: account.sid.clone(),
            phone_number: phone_number.to_owned(),
            friendly_name: phone_number.to_owned(),
            capabilities: Capabilities::ALL,
            address_requirements: "none".to_owned(),
            address_sid: None,
            sms_url: account.inbound_url.clone(),
            voice_url: account.voice_url.clone(),
            status_callback: account.voice_status_url.clone(),
            created: SET_UP,
            date_updated: SET_UP,
        }
    }
}

impl LocalTwilio {
    /// The numbers of an account, the latest last, each with where what comes to it goes. None of an unknown
    /// account.
    pub fn numbers_of(&self, account_sid: &str) -> Vec<OwnedNumber> {
        let state = self.state();
        let account = state.accounts.iter().find(|account| account.sid == account_sid);
        account.map(|account| state.numbers_of(account)).unwrap_or_default()
    }
}

impl State {
    /// The numbers of an account, the latest last. What is no number, it sends from but does not have here.
    pub(super) fn numbers_of(&self, account: &Account) -> Vec<OwnedNumber> {
        let kept: Vec<&OwnedNumber> = self.ledger.numbers().iter().filter(|known| known.account_sid == account.sid).collect();
        let mut numbers: Vec<OwnedNumber> = Vec::new();
        for sender in &account.senders {
            let sender = number(sender);
            let is_known = kept.iter().any(|known| known.phone_number == sender)
                || numbers.iter().any(|known| known.phone_number == sender)
                || self.ledger.is_released(&account.sid, sender);
            if sender.starts_with('+') && !is_known {
                numbers.push(OwnedNumber::set_up(account, sender));
            }
        }
        numbers.extend(kept.into_iter().cloned());
        numbers
    }

    pub(super) fn number(&self, account: &Account, phone_number: &str) -> Option<OwnedNumber> {
        self.numbers_of(account).into_iter().find(|known| known.phone_number == phone_number)
    }

    /// What an account can send from, what it was set up with first. `can` is asked of what it has bought.
    pub(super) fn senders(&self, account: &Account, can: fn(Capabilities) -> bool) -> Vec<String> {
        let is_left = |sender: &&String| !self.ledger.is_released(&account.sid, number(sender));
        let mut senders: Vec<String> = account.senders.iter().filter(is_left).cloned().collect();
        for known in self.ledger.numbers() {
            let is_new = senders.iter().all(|sender| number(sender) != known.phone_number);
            if known.account_sid == account.sid && is_new && can(known.capabilities) {
                senders.push(known.phone_number.clone());
            }
        }
        senders
    }

    /// Every number that anybody has.
    pub(super) fn owned_numbers(&self) -> HashSet<String> {
        let set_up = self.accounts.iter().flat_map(|account| self.numbers_of(account)).map(|known| known.phone_number);
        // An account that is not here yet has its numbers already.
        set_up.chain(self.ledger.numbers().iter().map(|known| known.phone_number.clone())).collect()
    }

    /// Where what comes to an address goes: of a number as it is wired, of anything else as the account is
    /// set up.
    pub(super) fn webhooks(&self, account: &Account, to: &str) -> Webhooks {
        match self.number(account, to) {
            Some(OwnedNumber { sms_url, voice_url, status_callback, .. }) => Webhooks { sms_url, voice_url, status_callback },
            None => Webhooks {
                sms_url: account.inbound_url.clone(),
                voice_url: account.voice_url.clone(),
                status_callback: account.voice_status_url.clone(),
            },
        }
    }
}
