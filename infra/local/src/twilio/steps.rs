//! What happens to a message or a call after acceptance, and when.
//!
//! Statuses from twilio-facts §2 and §6. What a fault makes of them is said in `course`, for both.

use super::call::CallStatus;
use super::fault::Fault;
use super::ledger::{Progress, Status};

/// One change of a status that is still to come.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) sid: String,
    pub(super) progress: Progress,
    pub(super) error_code: Option<u32>,
    /// How often it is reported.
    pub(super) reports: u8,
}

/// When a step is taken: after one of the two configured delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    First,
    Last,
}

/// How a message or a call goes.
struct Course {
    ending: Ending,
    /// How often each status is reported.
    reports: u8,
    /// Whether the end comes before what leads to it.
    last_first: bool,
}

enum Ending {
    Good,
    Undelivered(u32),
    Failed(u32),
    Busy,
}

impl When {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Last,
            Self::Last => Self::First,
        }
    }
}

/// What happens to a message that was just accepted.
pub(super) fn message_steps(sid: &str, fault: Option<Fault>) -> Vec<(When, Step)> {
    let course = course(fault);
    let sent = (When::First, Status::Sent, None);
    let way = match course.ending {
        // No line is busy for a message.
        Ending::Good | Ending::Busy => vec![sent, (When::Last, Status::Delivered, None)],
        Ending::Undelivered(code) => vec![sent, (When::Last, Status::Undelivered, Some(code))],
        Ending::Failed(code) => vec![(When::First, Status::Failed, Some(code))],
    };
    let way = way.into_iter().map(|(when, status, error_code)| (when, Progress::Message(status), error_code));
    plan(sid, &course, way)
}

/// What happens to a call that was just accepted.
pub(super) fn call_steps(sid: &str, fault: Option<Fault>) -> Vec<(When, Step)> {
    let course = course(fault);
    let (end, ends) = match course.ending {
        Ending::Good => (CallStatus::Completed, When::Last),
        Ending::Undelivered(_) => (CallStatus::NoAnswer, When::Last),
        Ending::Failed(_) => (CallStatus::Failed, When::First),
        Ending::Busy => (CallStatus::Busy, When::Last),
    };
    let way = end.way().iter().map(|status| {
        let when = if *status == end { ends } else { When::First };
        (when, Progress::Call(*status), None)
    });
    plan(sid, &course, way)
}

/// What still happens to what an earlier process left at `progress`.
pub(super) fn remaining_steps(sid: &str, progress: Progress) -> Vec<(When, Step)> {
    let mut steps = match progress {
        Progress::Message(_) => message_steps(sid, None),
        Progress::Call(_) => call_steps(sid, None),
    };
    steps.retain(|(_, step)| step.progress > progress);
    steps
}

fn course(fault: Option<Fault>) -> Course {
    let good = Course { ending: Ending::Good, reports: 1, last_first: false };
    match fault {
        Some(Fault::ReorderedCallbacks) => Course { last_first: true, ..good },
        Some(Fault::DuplicateCallbacks) => Course { reports: 2, ..good },
        Some(Fault::LostCallbacks) => Course { reports: 0, ..good },
        Some(Fault::Undelivered(code)) => Course { ending: Ending::Undelivered(code), ..good },
        Some(Fault::FailedLater(code)) => Course { ending: Ending::Failed(code), ..good },
        Some(Fault::Busy) => Course { ending: Ending::Busy, ..good },
        None
        | Some(
            Fault::AcceptThenDrop
            | Fault::DropBeforeAccept
            | Fault::TooManyRequests
            | Fault::QueueFull
            | Fault::ServerErrorBeforeAccept
            | Fault::ServerErrorAfterAccept
            | Fault::Unavailable
            | Fault::Slow(_)
            // Taken ahead of their time, before the submission is answered.
            | Fault::CallbackBeforeResponse,
        ) => good,
    }
}

fn plan(sid: &str, course: &Course, way: impl Iterator<Item = (When, Progress, Option<u32>)>) -> Vec<(When, Step)> {
    way.map(|(when, progress, error_code)| {
        let when = if course.last_first { when.other() } else { when };
        (when, Step { sid: sid.to_owned(), progress, error_code, reports: course.reports })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(fault: Option<Fault>) -> Vec<(When, Progress)> {
        call_steps("CA1", fault).into_iter().map(|(when, step)| (when, step.progress)).collect()
    }

    #[test]
    fn after_a_restart_only_what_is_missing_happens() {
        let remaining =
            |progress| -> Vec<Progress> { remaining_steps("SM1", progress).into_iter().map(|(_, step)| step.progress).collect() };

        assert_eq!(remaining(Progress::Message(Status::Sent)), [Progress::Message(Status::Delivered)]);
        assert_eq!(
            remaining(Progress::Call(CallStatus::Ringing)),
            [Progress::Call(CallStatus::InProgress), Progress::Call(CallStatus::Completed)]
        );
    }

    #[test]
    fn a_call_is_answered_at_the_first_delay_and_completed_at_the_last() {
        use CallStatus::{Completed, InProgress, Initiated, Ringing};

        assert_eq!(
            calls(None),
            [
                (When::First, Progress::Call(Initiated)),
                (When::First, Progress::Call(Ringing)),
                (When::First, Progress::Call(InProgress)),
                (When::Last, Progress::Call(Completed)),
            ]
        );
    }

    #[test]
    fn a_fault_ends_a_call_as_it_says() {
        let end = |fault| calls(Some(fault)).pop();

        assert_eq!(end(Fault::Busy), Some((When::Last, Progress::Call(CallStatus::Busy))));
        assert_eq!(end(Fault::Undelivered(30003)), Some((When::Last, Progress::Call(CallStatus::NoAnswer))));
        assert_eq!(end(Fault::FailedLater(30008)), Some((When::First, Progress::Call(CallStatus::Failed))));
        assert_eq!(end(Fault::ReorderedCallbacks), Some((When::First, Progress::Call(CallStatus::Completed))));
    }

    #[test]
    fn a_message_finds_no_line_busy() {
        let steps = message_steps("SM1", Some(Fault::Busy));

        assert_eq!(steps.last().map(|(_, step)| step.progress), Some(Progress::Message(Status::Delivered)));
    }
}
