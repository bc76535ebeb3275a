//! What people do, each thing tried until it is acknowledged, as real callers do; and when things begin to go wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use local::gateway;
use local::host::Host;
use local::simulate::school_event;
use local::template::Function;
use local::twilio::Callback;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::drive::{World, lock, parts};
use super::evidence::Heard;
use super::plan::{Plan, Says, School, What};

impl World {
    /// Lets the happening at this place of the plan happen.
    pub async fn happen(self: &Arc<Self>, place: usize) {
        let what = &self.plan.happenings[place].what;
        if let Some(lasting) = what.lasting() {
            self.sky.faults().insert(place, what.clone());
            self.obey();
            sleep(Duration::try_from(lasting).unwrap()).await;
            self.sky.faults().remove(&place);
            self.obey();
            return;
        }
        let turn = what.turn(&self.plan).map(|turn| lock(&self.turns).entry(turn).or_default().clone());
        let _turn = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let first = self.now();
        let answer = self.act(place, what).await;
        if !what.is_fault() {
            lock(&self.heard).insert(place, Heard { first, at: self.now(), answer });
        }
    }

    /// Does what people do, until it is acknowledged.
    pub async fn act(self: &Arc<Self>, place: usize, what: &What) -> Value {
        match what {
            What::Lesson { school, number, starts, students } => {
                let school = &self.plan.schools[*school];
                let students: Vec<&str> = students.iter().map(|at| school.people[*at].id.as_str()).collect();
                let token = school.token('L', *number);
                let lesson = json!({
                    "lesson": token, "subject": token, "teacher": "Ms. Rivera", "startsAt": starts, "students": students,
                });
                self.tell(school, "lesson.created", lesson).await
            }
            What::Moved { school, number, starts } => {
                let school = &self.plan.schools[*school];
                self.tell(school, "lesson.moved", json!({ "lesson": school.token('L', *number), "startsAt": starts })).await
            }
            What::Cancelled { school, number } => {
                let school = &self.plan.schools[*school];
                self.tell(school, "lesson.cancelled", json!({ "lesson": school.token('L', *number) })).await
            }
            What::Attendance { school, number, person } => {
                let school = &self.plan.schools[*school];
                let lesson = school.token('L', *number);
                let seen = json!({ "lesson": lesson, "contact": school.people[*person].id, "status": "Present" });
                self.tell(school, "attendance.recorded", seen).await
            }
            What::Settled { school, number } => {
                let school = &self.plan.schools[*school];
                self.tell(school, "payment.settled", json!({ "payment": school.token('P', *number) })).await
            }
            What::Payment { school, number, person, due } => {
                let school = &self.plan.schools[*school];
                let token = school.token('P', *number);
                let body = json!({
                    "contactId": school.people[*person].id, "amount": "45.00", "dueDate": due.to_string(), "course": token,
                });
                self.ask(school, Method::PUT, &format!("/payments/{token}"), place, &body).await
            }
            What::Single { school, number, person, category, send_at } => {
                let school = &self.plan.schools[*school];
                let mut body = json!({
                    "contactId": school.people[*person].id, "category": category,
                    "body": format!("Note {}.", school.token('S', *number)),
                });
                if let Some(at) = send_at {
                    body["sendAt"] = json!(at);
                }
                self.ask(school, Method::POST, "/messages", place, &body).await
            }
            What::List { school, number, people } => {
                let school = &self.plan.schools[*school];
                let recipients: Vec<Value> = people.iter().map(|at| json!({ "contactId": school.people[*at].id })).collect();
                let body = json!({ "recipients": recipients, "body": format!("List {}.", school.token('B', *number)) });
                self.ask(school, Method::POST, "/messages/bulk", place, &body).await
            }
            What::Campaign { school: at, number, rows } => {
                let school = &self.plan.schools[*at];
                let row = |row: u32| format!("{},Guest{row}\n", Plan::guest(*at, row));
                let file: String = std::iter::once("phone,name\n".to_string()).chain((0..*rows).map(row)).collect();
                let said = format!("{}: sale {}, {{name}}. Reply STOP.", school.name(), school.token('C', *number));
                self.ask(school, Method::POST, "/campaigns", place, &json!({ "body": said, "customerList": file })).await
            }
            What::Text { school: at, number, person, says } => {
                let school = &self.plan.schools[*at];
                let words = match says {
                    Says::Stop => "STOP".to_string(),
                    Says::Start => "START".to_string(),
                    Says::Words => format!("I am late {}", school.token('N', *number)),
                };
                let text = self.host.inbound(&school.tenant(), &school.people[*person].phone, &school.sender, &words).await;
                self.text(&text.unwrap()).await
            }
            What::Rotated { school, stored_after } => {
                let school = &self.plan.schools[*school];
                self.sky.strike("rotated", 1);
                let sid = self.account(school).await;
                let token = format!("{:032x}", u128::from(place as u64 + 1) << 64 | u128::from(self.plan.seed));
                self.host.twilio.change_account(&sid, |account| account.auth_token = token.clone());
                sleep(Duration::try_from(*stored_after).unwrap()).await;
                self.ask(school, Method::PUT, "/twilio", place, &json!({ "accountSid": sid, "authToken": token })).await
            }
            fault => unreachable!("{fault:?} lasts"),
        }
    }

    /// Brings an event of a school as EventBridge does, until it is dealt with; and perhaps once more, later.
    pub async fn tell(self: &Arc<Self>, school: &School, name: &str, detail: Value) -> Value {
        let event = school_event(&school.tenant(), name, &detail, self.now());
        if self.sky.is_twice() {
            // At the same time, or when it is old.
            let after = if self.sky.below(2) == 0 { 0 } else { self.sky.below(900_000) };
            let (world, event) = (self.clone(), event.clone());
            self.spawn(async move {
                sleep(Duration::from_millis(after)).await;
                world.invoke(Function::ReceiveEvents, |host, now| async move { host.receive(event, now).await }).await;
            });
        }
        loop {
            let told = event.clone();
            let work = |host: Host, now| async move { host.receive(told, now).await };
            if let Some(Ok(answer)) = self.invoke(Function::ReceiveEvents, work).await {
                return answer;
            }
            self.sky.pause(20_000, 90_000).await;
        }
    }

    /// Asks the API as a client of the school's, under a key that is this happening's, until it answers; and perhaps twice at
    /// once.
    pub async fn ask(self: &Arc<Self>, school: &School, method: Method, path: &str, place: usize, body: &Value) -> Value {
        let path = format!("/v1/tenants/{}{path}", school.id);
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("idempotency-key", format!("happening-{place}").parse().unwrap());
        let claims = json!({ "tenant": school.id, "role": "admin", "sub": "school" });
        let body = Bytes::from(body.to_string());
        loop {
            let event = gateway::event(&method, &path, None, &headers, &body, Some(claims.clone()), self.now());
            if self.sky.is_twice() {
                let (world, event) = (self.clone(), event.clone());
                self.spawn(async move {
                    world.invoke(Function::SendMessage, |host, _| async move { host.functions.api(event).await }).await;
                });
            }
            let answer = self.invoke(Function::SendMessage, |host, _| async move { host.functions.api(event).await }).await;
            if let Some((status, answer)) = parts(answer).await
                && !status.is_server_error()
                && status != StatusCode::TOO_MANY_REQUESTS
            {
                // Credentials are tried out before they are stored, and Twilio may refuse all at present. A time to send at may
                // have passed before anybody answered.
                let is_refused = status == StatusCode::UNPROCESSABLE_ENTITY;
                assert!(status.is_success() || is_refused, "{method} {path} answered {status}: {answer}");
                if status.is_success() || !path.ends_with("/twilio") {
                    return answer;
                }
            }
            self.sky.pause(1_000, 20_000).await;
        }
    }

    /// Resumes the campaigns that trouble has stopped, and takes back those for which there is no money.
    pub async fn look_after_campaigns(&self) {
        let heard = lock(&self.heard).clone();
        for (place, heard) in heard {
            let What::Campaign { school, .. } = self.plan.happenings[place].what else { continue };
            let school = &self.plan.schools[school];
            let path = format!("/campaigns/{}", heard.answer["id"].as_str().unwrap());
            let campaign = self.calmly(school, Method::GET, &path, None).await;
            let verb = match campaign["paused"].as_str() {
                Some("budget") => "cancel",
                Some(_) => "resume",
                None => continue,
            };
            self.calmly(school, Method::POST, &format!("{path}/{verb}"), None).await;
        }
    }

    /// Asks the API as somebody for whom nothing goes wrong.
    pub async fn calmly(&self, school: &School, method: Method, path: &str, query: Option<&str>) -> Value {
        let path = format!("/v1/tenants/{}{path}", school.id);
        let claims = json!({ "tenant": school.id, "role": "staff", "sub": "somebody" });
        let event = gateway::event(&method, &path, query, &HeaderMap::new(), &Bytes::new(), Some(claims), self.now());
        let (status, answer) = parts(Some(self.host.functions.api(event).await)).await.unwrap();
        assert!(status.is_success(), "{method} {path} answered {status}: {answer}");
        answer
    }

    /// Brings a text until the webhook has taken it, as its sender would text again. Its SID.
    pub async fn text(&self, text: &Callback) -> Value {
        loop {
            if self.host.twilio.deliver(text).await.is_some_and(|answer| (200..300).contains(&answer.status)) {
                return json!(text.message_sid());
            }
            self.sky.pause(5_000, 60_000).await;
        }
    }
}
