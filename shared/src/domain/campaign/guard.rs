//! What a marketing text says whoever wrote it: who sends it (S1-60), and how to get no more of them (S1-57, S1-61).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::domain::compose::is_sender;
use crate::domain::contact::{Category, attribute_key};
use crate::domain::lint;
use crate::domain::template::{Template, TemplateError};
use crate::domain::way_out::has_opt_out_text;

/// What is added to marketing texts that lack it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CampaignSettings {
    /// Stands at the end of a text that does not say how to opt out; `null` for nothing, `Reply STOP to opt out.` when
    /// absent. At most 160 characters.
    pub opt_out_text: Option<String>,
    /// Whether the tenant's name stands in front of a text that does not say it; `true` when absent.
    pub names_sender: bool,
}

impl Default for CampaignSettings {
    fn default() -> Self {
        Self { opt_out_text: Some("Reply STOP to opt out.".into()), names_sender: true }
    }
}

/// In characters.
const LONGEST_OPT_OUT_TEXT: usize = 160;

impl CampaignSettings {
    /// # Errors
    /// The text is too long, or nobody would understand it as a way out.
    pub fn validate(&self) -> Result<(), String> {
        let Some(text) = &self.opt_out_text else { return Ok(()) };
        if text.chars().count() > LONGEST_OPT_OUT_TEXT {
            return Err(format!("optOutText: at most {LONGEST_OPT_OUT_TEXT} characters"));
        }
        if !has_opt_out_text(text) {
            return Err("optOutText: name the word, as in 'Reply STOP to opt out.', or give null for no such text".into());
        }
        Ok(())
    }
}

/// A text with what it lacks: the tenant's name in front, the way out at its end. Only marketing has to have them, and a
/// call has neither.
///
/// # Errors
/// None that a text which was read once has: what is added has no variables.
pub fn guarded(
    text: &Template,
    channel: Channel,
    category: Category,
    tenant_name: &str,
    rails: &CampaignSettings,
) -> Result<Template, TemplateError> {
    if category != Category::Marketing || channel == Channel::Voice {
        return Ok(text.clone());
    }
    let said = said_anyway(text, tenant_name);
    let mut source = text.as_str().to_string();
    if rails.names_sender && !lint::is_named_in_full(tenant_name, &said) {
        source = format!("{}: {source}", literal(tenant_name));
    }
    let way_out = rails.opt_out_text.as_deref().map(literal).filter(|way_out| !way_out.is_empty());
    if let Some(way_out) = way_out
        && !has_opt_out_text(&said)
    {
        let body = source.trim_end();
        let between = if body.contains('\n') { '\n' } else { ' ' };
        source = format!("{body}{between}{way_out}");
    }
    Template::parse(&source)
}

/// What every message of `text` says, whatever fills its variables; those that stand for the tenant are its name.
fn said_anyway(text: &Template, tenant_name: &str) -> String {
    let name = Some(tenant_name).filter(|name| !name.is_empty());
    let value = |variable: &str| {
        let name = name.filter(|_| is_sender(&attribute_key(variable)));
        // No word, and not nothing: a default would be said in some messages only.
        Some(Cow::Borrowed(name.unwrap_or("…")))
    };
    text.render(value).unwrap_or_default()
}

/// `text` as it stands in a template: there is no other way to write an opening brace.
fn literal(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    plain.trim().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::catalogue::default_template;

    fn guarded_as(text: &str, name: &str, rails: &CampaignSettings) -> String {
        let text = Template::parse(text).unwrap();
        let guarded = guarded(&text, Channel::Sms, Category::Marketing, name, rails).unwrap();
        let again = super::guarded(&guarded, Channel::Sms, Category::Marketing, name, rails).unwrap();
        assert_eq!(again, guarded, "what is added is found");
        guarded.as_str().to_string()
    }

    fn usual(text: &str) -> String {
        guarded_as(text, "Pizza Palace", &CampaignSettings::default())
    }

    #[test]
    fn what_a_marketing_text_lacks_is_added() {
        assert_eq!(usual("Half price!"), "Pizza Palace: Half price! Reply STOP to opt out."); // S1-57, S1-60
        assert_eq!(usual("Pizza Palace has news. "), "Pizza Palace has news. Reply STOP to opt out.");
        assert_eq!(usual("News.\nText STOP to end."), "Pizza Palace: News.\nText STOP to end.");
        assert_eq!(usual("Pizza Palace\nHalf price\n"), "Pizza Palace\nHalf price\nReply STOP to opt out.");
    }

    #[test]
    fn a_variable_of_the_tenants_name_says_it_and_no_other_says_anything() {
        let win_back = default_template("win_back").unwrap().text; // S2-22
        for whole in ["{restaurant_name}: {offer} Unsubscribe: {link}", "{{ tenant }} STOP", win_back] {
            assert_eq!(usual(whole), whole);
        }
        assert_eq!(usual("{pizza} {stop}"), "Pizza Palace: {pizza} {stop} Reply STOP to opt out.");
        assert_eq!(usual("{note|Pizza Palace: STOP}"), "Pizza Palace: {note|Pizza Palace: STOP} Reply STOP to opt out.");
    }

    #[test]
    fn words_that_mean_something_else_are_neither_name_nor_way_out() {
        let between = |text: &str| format!("Pizza Palace: {text} Reply STOP to opt out.");
        for text in ["Stop by this weekend!", "Half price on every pizza.", "Non-stop fun: stop in!"] {
            assert_eq!(usual(text), between(text));
        }
        assert_eq!(usual("Pizza Palace: reply END to leave."), "Pizza Palace: reply END to leave.");
    }

    #[test]
    fn a_name_with_braces_is_no_variable() {
        let rails = CampaignSettings { opt_out_text: Some("STOP {x} ends }".into()), ..CampaignSettings::default() };

        assert_eq!(guarded_as("Hi", " {Joe} Diner", &rails), "Joe Diner: Hi STOP x ends");
    }

    #[test]
    fn a_tenant_may_do_without_either() {
        let neither = CampaignSettings { opt_out_text: None, names_sender: false };
        let no_way_out = CampaignSettings { opt_out_text: None, names_sender: true };

        assert_eq!(guarded_as("Hi", "Pizza Palace", &neither), "Hi");
        assert_eq!(guarded_as("Hi", "Pizza Palace", &no_way_out), "Pizza Palace: Hi");
        assert_eq!(guarded_as("Hi", "", &no_way_out), "Hi");
        let read = |json: &str| serde_json::from_str::<CampaignSettings>(json).map_err(|error| error.to_string());
        assert_eq!(read("{}"), Ok(CampaignSettings::default()));
        assert_eq!(read(r#"{"optOutText": null, "namesSender": false}"#), Ok(neither));
        assert!(read(r#"{"optOut": null}"#).is_err());
    }

    #[test]
    fn only_marketing_that_is_written_is_added_to() {
        let text = Template::parse("Half price!").unwrap();
        let rails = CampaignSettings::default();
        for (channel, category) in [(Channel::Sms, Category::Schedule), (Channel::Voice, Category::Marketing)] {
            assert_eq!(guarded(&text, channel, category, "Pizza Palace", &rails).unwrap(), text);
        }
    }

    #[test]
    fn a_way_out_is_short_and_understood() {
        let is_fine = |text: &str| CampaignSettings { opt_out_text: Some(text.into()), names_sender: true }.validate().is_ok();

        assert!(CampaignSettings::default().validate().is_ok());
        assert!(is_fine("STOP=end") && is_fine(&format!("STOP {}", "x".repeat(155))));
        assert!(!is_fine("") && !is_fine("Call us.") && !is_fine("Stop by!") && !is_fine(&format!("STOP {}", "x".repeat(156))));
    }
}
