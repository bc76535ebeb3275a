//! What came of a run, gathered by somebody for whom nothing goes wrong.

use std::collections::BTreeMap;

use axum::http::Method;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use local::simulate::Span;
use serde_json::Value;
use shared::domain::message::Message;
use shared::store::meter;

use super::drive::{World, lock};
use super::evidence::{Evidence, Stored};
use super::plan::{School, What};
use crate::machine::all_messages;

impl World {
    pub async fn account(&self, school: &School) -> String {
        self.host.cx.credentials(&school.tenant(), self.now()).await.unwrap().account_sid.clone()
    }

    pub async fn evidence(&self) -> Evidence {
        let mut stored = Vec::new();
        for school in &self.plan.schools {
            let messages = self.messages(school).await;
            let table = self.host.cx.table().await.unwrap();
            let mut used = BTreeMap::new();
            let zone = TimeZone::get(school.zone).unwrap();
            let ends = [self.plan.start, self.now()].map(|at| zone.to_datetime(at).strftime("%Y-%m").to_string());
            for month in messages.iter().filter_map(|message| message.month.clone()).chain(ends) {
                let amount = meter::used(table, &school.tenant(), &month).await.unwrap().0;
                used.insert(month, amount);
            }
            stored.push(Stored { account: self.account(school).await, messages, used, reports: self.reports(school).await });
        }
        Evidence {
            plan: self.plan.clone(),
            heard: lock(&self.heard).clone(),
            ledger: self.host.twilio.ledger(),
            attempts: self.host.twilio.attempts(),
            stored,
            struck: self.struck(),
        }
    }

    fn struck(&self) -> BTreeMap<String, u64> {
        let mut struck = self.sky.struck();
        for (fault, times) in self.trouble.happened() {
            *struck.entry(format!("aws {fault}")).or_default() += times;
        }
        struck
    }

    pub async fn messages(&self, school: &School) -> Vec<Message> {
        let span = Span { from: self.plan.start - SignedDuration::from_hours(48), until: self.now() };
        all_messages(&self.host, &school.tenant(), span).await
    }

    /// The rows of the school's campaigns.
    pub async fn reports(&self, school: &School) -> BTreeMap<u32, Vec<Value>> {
        let mut reports = BTreeMap::new();
        let all = lock(&self.heard).clone();
        for (place, heard) in all {
            let What::Campaign { school: at, number, .. } = self.plan.happenings[place].what else { continue };
            if self.plan.schools[at].id != school.id {
                continue;
            }
            let path = format!("/campaigns/{}/rows", heard.answer["id"].as_str().unwrap());
            let (mut rows, mut query) = (Vec::new(), "limit=200".to_string());
            loop {
                let page = self.calmly(school, Method::GET, &path, Some(&query)).await;
                rows.extend(page["items"].as_array().unwrap().iter().cloned());
                let Some(cursor) = page["nextCursor"].as_str() else { break };
                query = format!("limit=200&cursor={cursor}");
            }
            reports.insert(number, rows);
        }
        reports
    }
}
