//! The page on which a contact chooses: HTML of one piece, without scripts, for phones too.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{MaskedNumber, OwnPreferences, Shown, own_view, private};
use crate::api::contacts::channel_word;
use crate::api::problem::Problem;
use crate::domain::channel::ChannelPreference;
use crate::domain::contact::Category;
use crate::domain::local_time::Clock;

const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1.125rem/1.5 system-ui,sans-serif;margin:0;padding:1rem}\
main{max-width:34rem;margin:0 auto}\
h1{font-size:1.5rem}\
fieldset{border:1px solid;border-radius:.5rem;margin:0 0 1rem;padding:.75rem 1rem}\
legend{font-weight:bold;padding:0 .25rem}\
label{display:block;padding:.5rem 0}\
input[type=checkbox],input[type=radio]{width:1.25rem;height:1.25rem;vertical-align:middle;margin:0 .5rem 0 0}\
input[type=time],button{font:inherit;padding:.5rem}\
button{width:100%;font-weight:bold}\
.note{border-left:.25rem solid;padding:.5rem 1rem}";

/// A page of its own.
pub(super) fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Your messages</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    );
    private((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// Why there is no form, in words for somebody who has only opened a link.
pub(super) fn refusal(problem: Problem) -> Response {
    let status = problem.into_response().status();
    let text = match status {
        StatusCode::NOT_FOUND => "This link does not work any more. Ask whoever sent it to you for a new one.",
        StatusCode::TOO_MANY_REQUESTS => "There is too much going on right now. Try again in a minute.",
        _ => "Something went wrong, and perhaps not everything was saved. Try again in a minute.",
    };
    page(status, &format!("<h1>Your messages</h1><p role=\"alert\">{text}</p>"))
}

/// The form, filled in with how things stand.
pub(super) fn form(shown: &Shown, wrong: Option<&str>, is_saved: bool) -> String {
    let view = own_view(&shown.settings, &shown.preferences);
    let (tenant, first_name, zone) = (escaped(&view.tenant), escaped(&view.first_name), escaped(&view.time_zone));
    let note = match wrong {
        Some(wrong) => format!("<p class=\"note\" role=\"alert\">{}</p>", escaped(wrong)),
        None if is_saved => "<p class=\"note\" role=\"status\">Saved.</p>".to_string(),
        None => String::new(),
    };
    let hello = if first_name.is_empty() { String::new() } else { format!("Hello {first_name}. ") };
    let number = |name: &str, number: &Option<MaskedNumber>| match number {
        Some(MaskedNumber { number, opted_out }) => {
            let stopped = if *opted_out { ": stopped" } else { "" };
            format!("<li>{name} {}{stopped}</li>", escaped(number))
        }
        None => String::new(),
    };
    let numbers = [number("Phone", &view.phone), number("WhatsApp", &view.whatsapp)].concat();
    let numbers = if numbers.is_empty() { numbers } else { format!("<ul>{numbers}</ul>") };
    let stopped_categories = view.opted_out_categories.iter();
    let was: String = stopped_categories
        .map(|category| format!("<input type=\"hidden\" name=\"was\" value=\"{}\">", category.word()))
        .collect();
    let was_stopped = if view.opted_out { "yes" } else { "no" };
    let hint = if view.opted_out || [&view.phone, &view.whatsapp].into_iter().flatten().any(|number| number.opted_out) {
        "<p>If you once answered STOP to a text message, also send START to the number that it came from: \
         the telephone network itself holds our messages back until you do.</p>"
    } else {
        ""
    };
    format!(
        "<h1>Messages from {tenant}</h1>{note}\
         <p>{hello}Here you choose which messages from {tenant} reach you, and when.</p>{numbers}\
         <form method=\"post\"><input type=\"hidden\" name=\"was_stopped\" value=\"{was_stopped}\">{was}\
         {channels}\
         <fieldset><legend>Quiet hours</legend>\
         <p>Nothing comes between these times, by the clock of {zone}. Leave both empty for none of your own; \
         the school's hours still apply.</p>{from}{to}</fieldset>\
         <fieldset><legend>Do not send me</legend>{categories}</fieldset>\
         <fieldset><legend>No messages at all</legend>{stop}{hint}</fieldset>\
         <button type=\"submit\">Save</button></form>",
        channels = channel_fields(&view),
        from = time_field("quiet_from", "From", shown.preferences.contact.quiet_hours.map(|hours| hours.from)),
        to = time_field("quiet_to", "To", shown.preferences.contact.quiet_hours.map(|hours| hours.to)),
        categories = category_fields(&view),
        stop = tick("checkbox", "stopped", "yes", "Send me nothing at all", view.opted_out),
    )
}

fn channel_fields(view: &OwnPreferences) -> String {
    if view.channels.is_empty() {
        return String::new();
    }
    let any = tick("radio", "channel", "", "Whatever suits best", view.channel.is_none());
    let one = |channel: &ChannelPreference| {
        let label = match channel {
            ChannelPreference::Sms => "Text messages only",
            ChannelPreference::Whatsapp => "WhatsApp only",
            ChannelPreference::Both => "Text messages and WhatsApp",
        };
        tick("radio", "channel", channel_word(*channel), label, view.channel == Some(*channel))
    };
    let each: String = view.channels.iter().map(one).collect();
    format!("<fieldset><legend>How messages come</legend>{any}{each}</fieldset>")
}

/// Those that may be chosen, and whatever else is stopped.
fn category_fields(view: &OwnPreferences) -> String {
    let others = view.opted_out_categories.iter().filter(|category| !view.categories.contains(*category));
    let field = |category: &Category| {
        let label = match category {
            Category::Lessons => "Reminders of lessons and classes",
            Category::Payments => "Payments",
            Category::Schedule => "Changes of the schedule",
            Category::Attendance => "Attendance",
            Category::Marketing => "News and offers",
            Category::Reservation => "Reservations",
            Category::Reminder => "Other reminders",
            Category::Order => "Orders",
            Category::Authentication => "One-time codes",
            Category::General => "Everything else",
        };
        tick("checkbox", "stop", category.word(), label, view.opted_out_categories.contains(category))
    };
    view.categories.iter().chain(others).map(field).collect()
}

/// A box to tick, or one of several to choose. All texts are ours.
fn tick(kind: &str, name: &str, value: &str, label: &str, is_on: bool) -> String {
    let checked = if is_on { " checked" } else { "" };
    format!("<label><input type=\"{kind}\" name=\"{name}\" value=\"{value}\"{checked}>{label}</label>")
}

fn time_field(name: &str, label: &str, at: Option<Clock>) -> String {
    let value = at.map(String::from).unwrap_or_default();
    format!("<label>{label} <input type=\"time\" name=\"{name}\" value=\"{value}\"></label>")
}

/// A text as HTML shows it, also within an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_text_on_the_page() {
        assert_eq!(escaped("<script>alert('&\"')</script>"), "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;");
    }
}
