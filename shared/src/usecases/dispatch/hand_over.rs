//! The call to Twilio, or the pretence of one for a tenant that has no account yet.

use std::sync::Arc;

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
                return (at, message, Outcome::NotAsked);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::config::{Aws, Config};
    use crate::domain::channel::Channel;
    use crate::domain::message::{Facts, MessageId, Step};
    use crate::domain::phone::PhoneNumber;
    use crate::domain::reminder::Kind;

    /// Nobody listens there.
    const NOWHERE: &str = "http://127.0.0.1:1";

    fn context() -> Context {
        Context::new(Config {
            table: "t".into(),
            queue_url: NOWHERE.into(),
            event_bus: "b".into(),
            public_url: NOWHERE.into(),
            twilio_api_base: NOWHERE.into(),
            secret_prefix: "p".into(),
            metrics_namespace: "m".into(),
            aws: Aws {
                region: "us-east-1".into(),
                access_key_id: "k".into(),
                secret_access_key: "s".into(),
                session_token: None,
                endpoint: Some(NOWHERE.into()),
                endpoints: BTreeMap::new(),
            },
        })
    }

    #[tokio::test]
    async fn a_message_whose_turn_comes_too_late_is_not_handed_over() {
        let cx = context();
        let tenant = TenantId::parse("t").unwrap();
        let settings = json!({ "name": "S", "timeZone": "UTC", "defaultRegion": "US", "budget": { "currency": "USD" } });
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let credentials = json!({ "accountSid": "AC1", "authToken": "t0ken" });
        let account = Account::Twilio(Arc::new(serde_json::from_value(credentials).unwrap()));
        let now = Timestamp::UNIX_EPOCH;
        let id = MessageId::derive(&tenant, &["m"]);
        let message = Message {
            channel: Some(Channel::Sms),
            to: PhoneNumber::from_e164("+12125550001"),
            ..Message::waiting(id, Kind::Message, Facts::Direct, now, Step::new(now, "asked"))
        };
        let of_claim = async |claimed_at: Instant| {
            let handed = hand_over(&cx, &tenant, &settings, &account, vec![message.clone()], claimed_at).await;
            handed.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>()
        };

        let late = of_claim(Instant::now() - LATEST_CALL - Duration::from_secs(1)).await;
        let in_time = of_claim(Instant::now()).await;

        assert_eq!(late, [Outcome::NotAsked]);
        assert!(matches!(in_time[..], [Outcome::NotProcessed { code: None, .. }]), "{in_time:?}");
    }
}
