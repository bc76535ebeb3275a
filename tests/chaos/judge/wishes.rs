//! What numbers texted about being texted: from when on a school must have obeyed, and when it may have.
//!
//! One phone's texts come one after another: the next is not sent before the last was acknowledged.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::chaos::evidence::Evidence;
use crate::chaos::plan::{Says, What};

/// STOP or START. The school learns of it between these two instants; Twilio itself knows at the first.
struct Wish {
    is_stop: bool,
    first: Timestamp,
    at: Timestamp,
}

/// Of each school, by phone, in their order.
pub struct Wishes(Vec<BTreeMap<String, Vec<Wish>>>);

impl Wishes {
    pub fn of(evidence: &Evidence) -> Self {
        let schools = &evidence.plan.schools;
        let mut wishes: Vec<BTreeMap<String, Vec<Wish>>> = schools.iter().map(|_| BTreeMap::new()).collect();
        for (place, happening) in evidence.plan.happenings.iter().enumerate() {
            let What::Text { school, person, says, .. } = &happening.what else { continue };
            let Some(heard) = evidence.heard.get(&place) else { continue };
            let is_stop = match says {
                Says::Stop => true,
                Says::Start => false,
                Says::Words => continue,
            };
            let phone = schools[*school].people[*person].phone.clone();
            wishes[*school].entry(phone).or_default().push(Wish { is_stop, first: heard.first, at: heard.at });
        }
        Self(wishes)
    }

    fn until(&self, school: usize, phone: &str, at: Timestamp) -> impl Iterator<Item = &Wish> {
        let all = self.0[school].get(phone).map_or(&[][..], Vec::as_slice);
        all.iter().filter(move |wish| wish.first <= at)
    }

    /// Since when the school must keep still, if it must at `at`: its STOP was acknowledged then, and no START was begun since.
    pub fn stopped_since(&self, school: usize, phone: &str, at: Timestamp) -> Option<Timestamp> {
        let mut since = None;
        for wish in self.until(school, phone, at) {
            since = if wish.is_stop { since.or(Some(wish.at).filter(|known| *known <= at)) } else { None };
        }
        since
    }

    /// Whether somebody who looked at the school's records between these instants may have found it stopped.
    pub fn may_be_stopped(&self, school: usize, phone: &str, from: Timestamp, to: Timestamp) -> bool {
        self.until(school, phone, to).fold(false, |may, wish| wish.is_stop || may && wish.at > from)
    }

    /// Whether a START may have come between these instants.
    pub fn may_have_started(&self, school: usize, phone: &str, from: Timestamp, to: Timestamp) -> bool {
        self.until(school, phone, to).any(|wish| !wish.is_stop && wish.at >= from)
    }

    /// Whether Twilio may have refused what it was given between these instants.
    pub fn may_be_blocked(&self, school: usize, phone: &str, from: Timestamp, to: Timestamp) -> bool {
        self.until(school, phone, to).fold(false, |may, wish| wish.is_stop || may && wish.first > from)
    }
}
