//! The call to Twilio, or the pretence of one for a tenant that has no account yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::claim::LATEST_CALL;

use crate::context::{Account, Context};
use crate::domain::message::{Message, Status, derived};
use crate::domain::tenant::{Settings, TenantId};
use crate::twilio::client::{self, Outcome, Outgoing};
use crate::twilio::status_callback::{self, Of};

/// Calls Twilio for each message, all claimed since `claimed_at`, some at a time; the answers come in
/// the messages' order.
pub async fn hand_over(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    account: &Account,
    claimed: Vec<Message>,
    claimed_at: Instant,
) -> Vec<(Message, Outcome)> {
    let credentials = match account {
        Account::Twilio(credentials) => credentials,
        Account::Simulated => return claimed.into_iter().map(|message| simulated(tenant, message)).collect(),
    };
    let window = cx.window(&credentials.account_sid);
    let mut calls = JoinSet::new();
    for (at, message) in claimed.into_iter().enumerate() {
        let (window, http, credentials) = (Arc::clone(&window), cx.http.clone(), Arc::clone(credentials));
        let base = cx.config.twilio_api_base.clone();
        let sender = message.channel.and_then(|channel| settings.sender(channel)).unwrap_or_default();
        let of = match client::Resource::of(message.channel) {
            client::Resource::Messages => Of::Message,
            client::Resource::Calls => Of::Call,
        };
        let callback = status_callback::url(&cx.config.public_url, tenant, of, &message.id);
        let outgoing = Outgoing::new(&message, sender, callback);
        calls.spawn(async move {
            let turn = window.turn().await;
            if claimed_at.elapsed() > LATEST_CALL {
                return (at, message, Outcome::NotProcessed { wait: Duration::ZERO, code: None });
            }
            let outcome = client::send(&http, &base, &credentials, &outgoing).await;
            turn.learn(&outcome);
            (at, message, outcome)
        });
    }
    let mut answers = calls.join_all().await;
    answers.sort_by_key(|(at, _, _)| *at);
    answers.into_iter().map(|(_, message, outcome)| (message, outcome)).collect()
}

/// Everything works and nothing leaves (S2-37..40).
fn simulated(tenant: &TenantId, message: Message) -> (Message, Outcome) {
    let sid = format!("SM{}", derived(tenant, &["simulated", message.id.as_str()]));
    (message, Outcome::Accepted { sid, status: Status::Delivered, segments: None })
}
