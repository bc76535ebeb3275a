//! Lets a plan happen: processes of every function over one machine, callers that try again, schedules, a queue's poller,
//! and whatever goes wrong.
//!
//! Everything runs on one thread whose time is virtual and passes only while all wait. Nothing here waits for anything but
//! time, and all chance comes from the plan's seed: the same plan is the same run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::aws::{Trouble, on_behalf_of, sqs_event};
use local::clock::Clock;
use local::gateway;
use local::host::{Host, Options, Webhook};
use local::names::QUEUE;
use local::simulate::{LESSON_JOB, PAYMENT_JOB};
use local::template::{Function, template};
use local::twilio::lost;
use serde_json::Value;
use shared::context::Context;
use shared::domain::channel::ChannelPreference;
use shared::domain::contact::{Contact, Number};
use shared::domain::local_time::Zone;
use shared::domain::phone::PhoneNumber;
use shared::domain::tenant::TenantId;
use shared::http_client::Client;
use shared::schedule;
use shared::store::{contacts, due, tenants};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::evidence::{Evidence, Heard};
use super::plan::{LONGEST, Plan, School, What};
use super::sky::{Mortal, Sky, twilio};
use crate::machine::capture;

/// When Twilio is asked about what it told no end of, at the latest: it waits for twelve hours.
pub const LONG_SILENCE: SignedDuration = SignedDuration::from_hours(14);
pub const NIGHTLY: Time = Time::constant(4, 30, 0, 0);
/// How often Lambda gives a message of the queue back to a function that failed on it.
pub const RECEIVES: u32 = 5;

/// Runs `plan` and gathers what came of it.
pub fn run(plan: &Plan) -> Evidence {
    // Errors take every path here: no line of the log may tell what is nobody's business. A long run would fill the memory.
    if cfg!(debug_assertions) {
        capture::start();
    }
    // What the SDK and our own code draw when they wait before another try.
    fastrand::seed(plan.seed);
    // Time alone: what would wait for a socket panics.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(plan.clone()).await;
        world.live().await;
        world.evidence().await
    })
}

pub struct World {
    pub plan: Plan,
    /// Nothing goes wrong for whoever asks here.
    pub host: Host,
    pub twilio: Client,
    pub trouble: Arc<Trouble>,
    pub sky: Arc<Sky>,
    /// Processes that have served and wait for more, by function.
    pub warm: Mutex<BTreeMap<Function, Vec<Host>>>,
    pub heard: Mutex<BTreeMap<usize, Heard>>,
    /// Of things that happen to the same, the second begins after the first was acknowledged.
    pub turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// What nobody waits for.
    pub background: Mutex<JoinSet<()>>,
}

impl World {
    pub async fn new(plan: Plan) -> Arc<Self> {
        let sky = Arc::new(Sky::new(!plan.seed));
        // The machine is there before the world that answers its callbacks.
        let later: Arc<OnceLock<Weak<Self>>> = Arc::default();
        let answering = later.clone();
        let callbacks = Client::through(Arc::new(move |request| {
            let world = answering.get().and_then(Weak::upgrade);
            Box::pin(async move {
                let Some(world) = world else { return lost() };
                let url = request.url();
                let body = request.body().and_then(|body| body.as_bytes()).map(Bytes::copy_from_slice).unwrap_or_default();
                world.webhook(url.path(), url.query(), request.headers(), body).await.map_or_else(lost, Into::into)
            })
        }));
        let options = Options {
            webhook: Webhook::InProcess,
            twilio_port: None,
            callbacks: Some(callbacks),
            ..Options::in_memory(Clock::from(plan.start))
        };
        let host = Host::start(options).await.unwrap();
        for school in &plan.schools {
            open(&host, school).await;
        }
        let world = Arc::new(Self {
            twilio: twilio(&host, &plan, &sky),
            trouble: Trouble::new(plan.seed),
            sky,
            host,
            plan,
            warm: Mutex::default(),
            heard: Mutex::default(),
            turns: Mutex::default(),
            background: Mutex::default(),
        });
        later.set(Arc::downgrade(&world)).unwrap();
        world
    }

    pub fn now(&self) -> Timestamp {
        self.host.clock.now()
    }

    /// A process of a function, warm or cold.
    pub fn process(&self, function: Function) -> Host {
        let warm = lock(&self.warm).get_mut(&function).and_then(Vec::pop);
        warm.unwrap_or_else(|| {
            let aws = self.host.aws.troubled(self.trouble.clone());
            let mut config = self.host.cx.config.clone();
            // The SDK keeps an allowance of retries for each region in a static: a process of its own has one of its own.
            static STARTED: AtomicU64 = AtomicU64::new(0);
            config.aws.region = format!("process-{}", STARTED.fetch_add(1, Ordering::Relaxed));
            let cx = Context::with_transport(config, self.twilio.clone(), aws.http_client());
            self.host.clone().restarted(cx)
        })
    }

    /// Lets a process of `function` do `work`. Nothing comes of it if it dies, takes too long, or nothing runs at present.
    pub async fn invoke<W: Future>(&self, function: Function, work: impl FnOnce(Host, Timestamp) -> W) -> Option<W::Output> {
        self.sky.pause(1, 30).await;
        let is_out = self.sky.is_out();
        if is_out || (self.sky.is_deaf() && function == Function::TwilioWebhook) {
            self.sky.strike(if is_out { "outage" } else { "deaf" }, 1);
            return None;
        }
        let process = self.process(function);
        let work = work(process.clone(), self.now() + self.sky.skew());
        let mortal = Mortal { work: Box::pin(work), left: self.sky.death() };
        let done = match timeout(limit(function), mortal).await {
            Ok(Some(done)) => done,
            Ok(None) => {
                self.sky.strike("killed", 1);
                return None;
            }
            Err(_) => {
                self.sky.strike("took too long", 1);
                return None;
            }
        };
        lock(&self.warm).entry(function).or_default().push(process);
        Some(done)
    }

    /// What the function URL answers to Twilio; nothing if it takes too long.
    pub async fn webhook(
        &self,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Option<axum::http::Response<Bytes>> {
        let _watch = Watch(&self.sky);
        let event = gateway::event(&Method::POST, path, query, headers, &body, None, self.now());
        let answer = self.invoke(Function::TwilioWebhook, |host, _| async move { host.functions.webhook(event).await }).await;
        let Some(answer) = answer else {
            let mut failed = axum::http::Response::new(Bytes::new());
            *failed.status_mut() = StatusCode::BAD_GATEWAY;
            return Some(failed);
        };
        let (parts, body) = answer.into_parts();
        // The answer may be lost on its way, too.
        if self.sky.is_out() {
            return None;
        }
        Some(axum::http::Response::from_parts(parts, read(body).await))
    }

    pub fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.background).spawn(work);
    }

    /// Everything, from the first instant until nothing is left to be done.
    pub async fn live(self: &Arc<Self>) {
        let mut machinery = JoinSet::new();
        let (twilio, ticking, polling, days) = (self.host.twilio.clone(), self.clone(), self.clone(), self.clone());
        machinery.spawn(async move { twilio.run_callbacks().await });
        machinery.spawn(async move { ticking.tick_each_minute().await });
        machinery.spawn(async move { polling.poll_the_queue().await });
        machinery.spawn(async move { days.run_each_day().await });
        let mut doing = JoinSet::new();
        for (place, happening) in self.plan.happenings.iter().enumerate() {
            self.until(happening.at).await;
            let world = self.clone();
            doing.spawn(async move { world.happen(place).await });
        }
        self.until(self.plan.calm).await;
        self.calm();
        self.end(doing).await;
        let (soonest, latest) = (self.plan.calm + LONG_SILENCE, self.plan.calm + LONGEST);
        while self.now() < soonest || (!self.is_idle().await && self.now() < latest) {
            self.look_after_campaigns().await;
            sleep(Duration::from_secs(600)).await;
        }
        for task in ["askAboutSilent", "recountDays", "watchHealth"] {
            self.task(task).await;
            sleep(Duration::from_secs(600)).await;
        }
        let background = std::mem::take(&mut *lock(&self.background));
        self.end(background).await;
        assert!(!self.sky.struck().contains_key("panicked"), "a webhook panicked");
        machinery.abort_all();
        while let Some(ended) = machinery.join_next().await {
            assert!(ended.is_err_and(|error| error.is_cancelled()), "the machinery fell to pieces");
        }
    }

    /// Waits for all of `doing`, but not for ever.
    async fn end(&self, mut doing: JoinSet<()>) {
        let all = async {
            while let Some(done) = doing.join_next().await {
                done.unwrap();
            }
        };
        timeout(Duration::try_from(LONGEST).unwrap(), all).await.expect("something is never acknowledged");
    }

    pub async fn until(&self, at: Timestamp) {
        let left = at.duration_since(self.now());
        sleep(Duration::try_from(left).unwrap_or_default()).await;
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.sky.faults().clear();
        self.obey();
    }

    /// Tells Twilio and AWS what is to go wrong with them.
    pub fn obey(&self) {
        let rules = self.sky.latest(|what| if let What::Twilio { rules, .. } = what { Some(rules.clone()) } else { None });
        let rules = rules.unwrap_or_default();
        let armed = self.host.twilio.faults();
        if armed.iter().map(|armed| &armed.rule).ne(&rules) {
            armed.iter().for_each(|armed| self.sky.strike(format!("twilio {:?}", armed.rule.fault), armed.fired.into()));
            self.host.twilio.set_faults(rules);
        }
        let shares = self.sky.latest(|what| if let What::Aws { shares, .. } = what { Some(*shares) } else { None });
        self.trouble.set(shares.unwrap_or_default());
    }

    /// Whether nobody has anything to do any more.
    pub async fn is_idle(&self) -> bool {
        self.next_due().await.is_none() && self.host.twilio.next_callback_due().is_none()
    }

    pub async fn next_due(&self) -> Option<Timestamp> {
        let table = self.host.cx.table().await.unwrap();
        let mut next = None;
        for school in &self.plan.schools {
            let due = due::next_due(table, &school.tenant()).await.unwrap();
            next = next.into_iter().chain(due).min();
        }
        next
    }

    /// EventBridge's minute tick. Of ticks that would find nothing only as much is done as it takes to know that.
    pub async fn tick_each_minute(self: &Arc<Self>) {
        let mut looked = BTreeMap::new();
        let mut next = None;
        let mut was_changed = false;
        loop {
            let minute = self.now().as_second().div_euclid(60) * 60 + 60;
            self.until(Timestamp::from_second(minute).unwrap()).await;
            let requests = self.host.aws.requests();
            let writes = requests.into_iter().filter(|(name, _)| name.contains("Write") || name.contains("UpdateItem"));
            let writes: BTreeMap<String, u64> = writes.chain([("PutItem".into(), 0)]).collect();
            // A write is counted when it is asked for, and done a little later.
            let is_changed = writes != looked;
            if is_changed || was_changed {
                next = self.next_due().await;
                looked = writes;
            }
            was_changed = is_changed;
            // A process whose clock is ahead finds it due before it is.
            if next.is_some_and(|next| next <= self.now() + self.sky.most_skew()) {
                for _ in 0..1 + usize::from(self.sky.is_twice()) {
                    let world = self.clone();
                    self.spawn(async move {
                        // Nobody repeats a tick: the next one comes by itself.
                        let tick = |host: Host, now| async move { host.tick(now).await };
                        world.invoke(Function::DispatchMessages, tick).await;
                    });
                }
            }
        }
    }

    /// Brings what lies in the queue to `dispatchMessages`, in no order, and some of it twice.
    pub async fn poll_the_queue(self: &Arc<Self>) {
        loop {
            self.sky.pause(200, 1_500).await;
            let mut taken = self.host.aws.take(QUEUE, 10);
            if taken.is_empty() {
                // The next one may be put while nobody is woken: half a minute is as good as never here.
                let _ = timeout(Duration::from_secs(30), self.host.aws.message_arrived().notified()).await;
                continue;
            }
            lock(&self.sky.rng).shuffle(&mut taken);
            let again: Vec<_> = taken.iter().filter(|_| self.sky.is_twice()).cloned().collect();
            for messages in [taken, again].into_iter().filter(|messages| !messages.is_empty()) {
                let world = self.clone();
                self.spawn(async move {
                    let event = sqs_event(&messages);
                    let work = |host: Host, now| async move {
                        on_behalf_of(Function::DispatchMessages, schedule::dispatch_messages(&host.cx, event, now)).await
                    };
                    let answer = world.invoke(Function::DispatchMessages, work).await.and_then(Result::ok);
                    let failed = |id: &str| match &answer {
                        None => true,
                        Some(answer) => {
                            answer["batchItemFailures"].as_array().into_iter().flatten().any(|item| item["itemIdentifier"] == id)
                        }
                    };
                    for message in messages {
                        if failed(&message.message_id) && message.receive_count < RECEIVES {
                            world.host.aws.put_back(message, Duration::from_secs(30));
                        }
                    }
                });
            }
        }
    }

    /// The planning jobs, which Lambda repeats when they fail, and what is done at night.
    pub async fn run_each_day(self: &Arc<Self>) {
        loop {
            let utc = TimeZone::UTC.to_datetime(self.now());
            let at = |day: jiff::civil::Date, time: Time| TimeZone::UTC.to_timestamp(day.to_datetime(time)).unwrap();
            let times = [NIGHTLY, LESSON_JOB, PAYMENT_JOB];
            let days = [utc.date(), utc.date().tomorrow().unwrap()];
            let next = days.into_iter().flat_map(|day| times.map(|time| (at(day, time), time))).find(|(at, _)| *at > self.now());
            let (next, time) = next.unwrap();
            self.until(next).await;
            for _ in 0..1 + usize::from(self.sky.is_twice()) {
                let world = self.clone();
                self.spawn(async move {
                    match time {
                        NIGHTLY => {
                            for task in ["askAboutSilent", "recountDays", "sweepExpired", "watchHealth"] {
                                world.task(task).await;
                            }
                        }
                        LESSON_JOB => world.plan(Function::ScheduleLessonReminders, next).await,
                        _ => world.plan(Function::SchedulePaymentReminders, next).await,
                    }
                });
            }
        }
    }

    pub async fn plan(&self, function: Function, at: Timestamp) {
        loop {
            let work = |host: Host, _| async move {
                match function {
                    Function::ScheduleLessonReminders => host.plan_lessons(at).await,
                    _ => host.plan_payments(at).await,
                }
            };
            if let Some(Ok(_)) = self.invoke(function, work).await {
                return;
            }
            self.sky.pause(50_000, 90_000).await;
        }
    }

    pub async fn task(&self, task: &'static str) {
        let work = |host: Host, now| async move { host.task(task, now).await };
        while !matches!(self.invoke(Function::DispatchMessages, work).await, Some(Ok(_))) {
            self.sky.pause(50_000, 90_000).await;
        }
    }
}

/// Twilio does not care why nobody answered; we do.
struct Watch<'a>(&'a Sky);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.strike("panicked", 1);
        }
    }
}

impl School {
    pub fn tenant(&self) -> TenantId {
        TenantId::parse(&self.id).unwrap()
    }
}

/// Makes a tenant with its people and its account.
pub async fn open(host: &Host, school: &School) {
    let table = host.cx.table().await.unwrap();
    let settings = serde_json::from_value(school.settings()).unwrap();
    tenants::put_settings(table, &school.tenant(), &settings).await.unwrap();
    let people = school.people.iter().map(|person| Contact {
        id: person.id.clone(),
        name: person.name.clone(),
        phone: Number::Usable(PhoneNumber::from_e164(&person.phone).unwrap()),
        whatsapp: Number::Absent,
        email: None,
        channel: person.whatsapp.then_some(ChannelPreference::Whatsapp),
        time_zone: person.zone.map(|zone| Zone::parse(zone).unwrap()),
        groups: Vec::new(),
        quiet_hours: None,
        opted_out: false,
        opted_out_categories: Default::default(),
        attributes: BTreeMap::new(),
        former_numbers: Default::default(),
        others: Vec::new(),
    });
    contacts::put_many(table, &school.tenant(), &people.collect::<Vec<_>>()).await.unwrap();
    host.connect(&school.tenant(), vec![school.sender.clone()]).await.unwrap();
}

/// After so long Lambda ends an invocation.
pub fn limit(function: Function) -> Duration {
    let own = function.properties()["Timeout"].as_u64();
    Duration::from_secs(own.or(template()["Globals"]["Function"]["Timeout"].as_u64()).unwrap())
}

pub async fn read(body: axum::body::Body) -> Bytes {
    axum::body::to_bytes(body, usize::MAX).await.unwrap()
}

pub async fn parts(answer: Option<Response>) -> Option<(StatusCode, Value)> {
    let (parts, body) = answer?.into_parts();
    Some((parts.status, serde_json::from_slice(&read(body).await).unwrap_or(Value::Null)))
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
