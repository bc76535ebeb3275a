//! Bringing callbacks to the webhooks: by HTTP in real time, or into the hands of a simulator.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::callback::{self, Callback, Outcome};
use super::ledger::Progress;
use super::steps::Step;
use super::twiml::{self, Element};
use super::{Account, LocalTwilio, Receipts, State};

/// How many callbacks are under way at once.
const PARALLEL: usize = 64;
/// How many attempts are remembered.
const REMEMBERED: usize = 50_000;
/// Twilio's limit for a webhook.
const TIMEOUT: Duration = Duration::from_secs(15);
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);

/// One try to bring a callback to its webhook.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// Or the call's.
    pub message_sid: String,
    /// The status that it reported; `received` for an inbound message, and how far an inbound call was.
    pub status: &'static str,
    pub url: String,
    /// The webhook's HTTP status; none if it could not be reached or did not answer.
    pub answer: Option<u16>,
    pub at: Timestamp,
}

/// What a webhook answered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAnswer {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

impl WebhookAnswer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The content type in lower case, without its parameters.
    pub(super) fn media_type(&self) -> String {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The `<Response>` in it, if it has one that Twilio would read.
    pub(super) fn twiml(&self) -> Option<Element> {
        let is_xml = matches!(self.media_type().as_str(), "text/xml" | "application/xml" | "text/html");
        if !is_xml || !self.is_success() {
            return None;
        }
        let response = twiml::read(&self.body);
        if response.is_none() {
            tracing::warn!("a webhook's answer is no TwiML: Twilio would report error 12100");
        }
        response
    }
}

impl LocalTwilio {
    /// Posts callbacks as they fall due, until the task is dropped.
    pub async fn run_callbacks(&self) {
        self.0.posting.store(true, Ordering::SeqCst);
        let slots = Arc::new(Semaphore::new(PARALLEL));
        loop {
            for callback in self.take(due) {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let twilio = self.clone();
                tokio::spawn(async move {
                    twilio.deliver(&callback).await;
                    drop(slot);
                });
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(self.until_next_callback()) => {}
                () = self.0.step_queued.notified() => {}
            }
        }
    }

    /// Takes the callbacks that are due, in order, for a simulator that brings them itself.
    pub fn take_callbacks(&self) -> Vec<Callback> {
        self.take(due)
    }

    /// When something next happens to a message or a call; in the past if it is overdue.
    pub fn next_callback_due(&self) -> Option<Timestamp> {
        self.state().pending.first_key_value().map(|((due, _), _)| *due)
    }

    /// Posts a callback, and again as often as its URL asks for; then does what the webhook answers to a
    /// text. None if nobody answered.
    pub async fn deliver(&self, callback: &Callback) -> Option<WebhookAnswer> {
        let mut back_off = FIRST_BACK_OFF;
        let mut tries = 0;
        let answer = loop {
            let (outcome, answer) = self.post(callback).await;
            self.record_attempt(callback, answer.as_ref().map(|answer| answer.status));
            if tries == callback.retry.times || !callback.retry.covers(outcome) {
                break answer;
            }
            tries += 1;
            tokio::time::sleep(back_off).await;
            back_off *= 2;
        };
        self.write_status(&mut self.state(), &callback.message_sid);
        if let Some(answer) = &answer {
            self.obey(callback, answer);
        }
        answer
    }

    /// Notes what a webhook answered to a callback that a simulator brought, which is through, and does what
    /// it answers to a text.
    pub fn brought(&self, callback: &Callback, answer: &WebhookAnswer) {
        self.record_attempt(callback, Some(answer.status));
        self.write_status(&mut self.state(), &callback.message_sid);
        self.obey(callback, answer);
    }

    /// Notes what a webhook answered to a callback.
    fn record_attempt(&self, callback: &Callback, answer: Option<u16>) {
        let attempt = Attempt {
            message_sid: callback.message_sid.clone(),
            status: callback.status,
            url: callback.url.clone(),
            answer,
            at: self.0.config.clock.now(),
        };
        let mut state = self.state();
        if state.attempts.len() == REMEMBERED {
            state.attempts.pop_front();
        }
        state.attempts.push_back(attempt);
    }

    /// The latest tries to bring callbacks, the oldest first.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.state().attempts.iter().cloned().collect()
    }

    /// Brings the callbacks of a message or a call now, if they are posted here at all.
    pub(super) async fn deliver_now(&self, sid: &str) {
        if !self.0.posting.load(Ordering::SeqCst) {
            return;
        }
        for callback in self.take(|state, _| steps_of(state, sid)) {
            self.deliver(&callback).await;
        }
    }

    /// Takes the steps that are chosen, moves their messages and calls on and gives the callbacks.
    fn take(&self, choose: impl FnOnce(&State, Timestamp) -> Vec<(Timestamp, u64)>) -> Vec<Callback> {
        let now = self.0.config.clock.now();
        let mut state = self.state();
        let mut callbacks = Vec::new();
        for key in choose(&state, now) {
            let Some(step) = state.pending.remove(&key) else { continue };
            let mut reports = reports(&mut state, &step, now);
            if self.0.config.receipts == Receipts::Last && !step.progress.is_final() {
                reports.clear();
            }
            // Else when its callback is through and need not be repeated after a crash.
            if reports.is_empty() {
                self.write_status(&mut state, &step.sid);
            }
            callbacks.extend(reports);
        }
        callbacks
    }

    async fn post(&self, callback: &Callback) -> (Outcome, Option<WebhookAnswer>) {
        let request = self
            .0
            .config
            .http
            .post(callback.url.clone())
            .timeout(TIMEOUT)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8")
            .header("user-agent", "TwilioProxy/1.1")
            .header("x-twilio-signature", &callback.signature)
            .header("i-twilio-idempotency-token", &callback.idempotency_token)
            .body(callback.body());
        let response = match self.0.config.http.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return (Outcome::NotConnected, None),
            Err(_) => return (Outcome::NotAnswered, None),
        };
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match response.text().await {
            Ok(body) => (Outcome::Answered(status), Some(WebhookAnswer { status, content_type, body })),
            Err(_) => (Outcome::NotAnswered, None),
        }
    }

    fn until_next_callback(&self) -> Duration {
        let Some(due) = self.next_callback_due() else { return Duration::from_secs(60 * 60) };
        let millis = due.as_millisecond() - self.0.config.clock.now().as_millisecond();
        // One more, since both instants were cut to whole milliseconds.
        Duration::from_millis(u64::try_from(millis).unwrap_or(0) + 1)
    }

    fn write_status(&self, state: &mut State, sid: &str) {
        if let Err(error) = state.ledger.write_status(sid) {
            tracing::warn!(%error, "the ledger file could not be written");
        }
    }
}

fn due(state: &State, now: Timestamp) -> Vec<(Timestamp, u64)> {
    state.pending.range(..=(now, u64::MAX)).map(|(key, _)| *key).collect()
}

fn steps_of(state: &State, sid: &str) -> Vec<(Timestamp, u64)> {
    state.pending.iter().filter(|(_, step)| step.sid == sid).map(|(key, _)| *key).collect()
}

fn reports(state: &mut State, step: &Step, now: Timestamp) -> Vec<Callback> {
    let report = report(state, step, now);
    report.into_iter().flat_map(|report| std::iter::repeat_n(report, step.reports.into())).collect()
}

fn report(state: &mut State, step: &Step, now: Timestamp) -> Option<Callback> {
    match step.progress {
        Progress::Message(status) => {
            let entry = state.ledger.advance(&step.sid, status, step.error_code, now).filter(|entry| !entry.deleted)?;
            let account = account(&state.accounts, &entry.account_sid)?;
            callback::status(account, entry, status, step.error_code, now)
        }
        Progress::Call(status) => {
            let call = state.ledger.advance_call(&step.sid, status, now).filter(|call| !call.deleted)?;
            let account = account(&state.accounts, &call.account_sid)?;
            callback::call_status(account, call, status, now)
        }
    }
}

fn account<'a>(accounts: &'a [Arc<Account>], sid: &str) -> Option<&'a Account> {
    accounts.iter().find(|account| account.sid == sid).map(|account| &**account)
}
