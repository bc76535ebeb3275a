//! Everything that bears on a text that just came in, in one request.

use std::collections::BTreeMap;

use super::consents::{self, Known};
use super::contacts;
use super::conversations;
use super::keys::{self, SK};
use super::messages;
use super::table::{StoreError, Table, string};
use crate::domain::contact::Wishes;
use crate::domain::conversation::Conversation;
use crate::domain::message::{Message, MessageId};
use crate::domain::tenant::TenantId;

/// What is known of a text, and of whoever wrote it.
#[derive(Debug, Default)]
pub struct Beside {
    /// The text itself, if it came before.
    pub message: Option<Message>,
    pub conversation: Option<Conversation>,
    pub consent: Known,
    /// The contacts that have this number, and what they wish.
    pub contacts: BTreeMap<String, Wishes>,
}

impl Beside {
    /// Who it is, if that is certain: of a number that several share, nobody knows who of them wrote.
    pub fn contact(&self) -> Option<&String> {
        let mut ids = self.contacts.keys();
        ids.next().filter(|_| ids.next().is_none())
    }
}

pub async fn read(table: &Table, tenant: &TenantId, id: &MessageId, address: &str) -> Result<Beside, StoreError> {
    let hash = table.keyring().address_hash(address);
    let (message, conversation) = (keys::message(tenant, id), keys::conversation(tenant, &hash));
    let (consent, contacts) = (keys::consent(tenant, &hash), keys::number_contacts(tenant, &hash));
    let wanted = vec![message.clone(), conversation.clone(), consent.clone(), contacts.clone()];
    let mut found = Beside::default();
    for item in table.get_many(wanted).await? {
        match string(&item, SK).to_string() {
            sk if sk == message.sk => found.message = Some(messages::message(table, item)?),
            sk if sk == conversation.sk => found.conversation = Some(conversations::conversation(table, item)?),
            sk if sk == consent.sk => found.consent = consents::known(table, item)?,
            _ => found.contacts = contacts::at_number(table, item)?,
        }
    }
    Ok(found)
}
