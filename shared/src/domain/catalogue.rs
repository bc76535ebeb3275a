//! What a tenant can send by a name: the default templates, which every tenant has without doing anything (S2-22,
//! S3-40..46, S3-49), and its own, which take their place. Beside them stand the texts of its types of message.
//!
//! Those of lesson and payment reminders, moves and attendance are not kept here: they belong to their type of
//! message, in [`super::texts`], and are changed in the settings.

use jiff::Timestamp;
use serde::Serialize;

use super::contact::Category;
use super::reminder::Kind;
use super::template::{NamedTemplate, StoredTemplate, Template, Written};
use super::tenant::{Settings, Trade};
use super::texts;

/// A template as we deliver it; a tenant's own of the same name takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultTemplate {
    /// As [`template_key`] writes it.
    pub name: &'static str,
    pub trade: Trade,
    pub category: Category,
    pub description: &'static str,
    /// What [`Template::parse`] reads.
    pub text: &'static str,
}

pub const DEFAULT_TEMPLATES: &[DefaultTemplate] = &[
    // S3-40
    DefaultTemplate {
        name: "reservation_confirmation",
        trade: Trade::Restaurant,
        category: Category::Reservation,
        description: "A table is booked.",
        text: "Hi {customer_name}, your table for {party_size} at {restaurant_name} is confirmed for {date} at {time}. \
               Confirmation code: {confirmation_code}.",
    },
    // S3-41
    DefaultTemplate {
        name: "reservation_reminder",
        trade: Trade::Restaurant,
        category: Category::Reminder,
        description: "A booked table is soon due.",
        text: "Reminder: your table for {party_size} at {restaurant_name} is booked for {time}. See you soon!",
    },
    // S3-42
    DefaultTemplate {
        name: "order_ready",
        trade: Trade::Restaurant,
        category: Category::Order,
        description: "An order can be picked up.",
        text: "Hi {customer_name}, your order #{order_number} is ready for pickup at {restaurant_name}!",
    },
    // S3-43
    DefaultTemplate {
        name: "order_delivered",
        trade: Trade::Restaurant,
        category: Category::Order,
        description: "An order has been delivered.",
        text: "Your order #{order_number} from {restaurant_name} has been delivered. Enjoy!",
    },
    // S3-44
    DefaultTemplate {
        name: "authentication_code",
        trade: Trade::Restaurant,
        category: Category::Authentication,
        description: "A one-time code to sign in.",
        text: "Your {restaurant_name} verification code is {code}. Do not share it with anyone.",
    },
    // S3-45. A discount is written as `20%`, `20% off` or `$5`: the text must read well with each.
    DefaultTemplate {
        name: "marketing_promotion",
        trade: Trade::Restaurant,
        category: Category::Marketing,
        description: "A promotion with a code.",
        text: "{restaurant_name}: {promotion_text} - {discount} with code {promo_code}. Reply STOP to unsubscribe.",
    },
    // S2-22 with the variables of D2, and how to opt out (S1-57).
    DefaultTemplate {
        name: "win_back",
        trade: Trade::Restaurant,
        category: Category::Marketing,
        description: "An offer to a guest who has not ordered for a while.",
        text: "Hi {customer_name}! We miss you at {restaurant_name}! {offer} Use code {offer_code}. Reply STOP to unsubscribe.",
    },
    // S0: what is no type of message of its own.
    DefaultTemplate {
        name: "school_closed",
        trade: Trade::School,
        category: Category::Schedule,
        description: "The school is closed on a day.",
        text: "{school_name} is closed on {date}: {reason}. There are no lessons on this day.",
    },
    // S1-09, S1-60
    DefaultTemplate {
        name: "appointment_reminder",
        trade: Trade::Business,
        category: Category::Reminder,
        description: "An appointment is soon due.",
        text: "Hi {customer_name}, this is {business_name}. Your appointment is on {date} at {time}. \
               If you cannot come, please answer this text.",
    },
    DefaultTemplate {
        name: "follow_up",
        trade: Trade::Business,
        category: Category::General,
        description: "Somebody came or called, and may have questions.",
        text: "Hi {customer_name}, thank you for talking to {business_name}. If you have any questions, just answer this text.",
    },
    // S1-67
    DefaultTemplate {
        name: "call_back",
        trade: Trade::Business,
        category: Category::General,
        description: "Somebody could not be reached by phone.",
        text: "Hi {customer_name}, {business_name} tried to reach you. Please call us back at {call_back_number}.",
    },
    // S4
    DefaultTemplate {
        name: "service_reminder",
        trade: Trade::Church,
        category: Category::Reminder,
        description: "A service is soon due.",
        text: "{church_name}: {service} is on {date} at {time}. We look forward to seeing you!",
    },
    DefaultTemplate {
        name: "event_announcement",
        trade: Trade::Church,
        category: Category::General,
        description: "Everybody is invited to an event.",
        text: "{church_name} invites you: {event} on {date} at {time}, {place}.",
    },
    DefaultTemplate {
        name: "volunteer_reminder",
        trade: Trade::Church,
        category: Category::Reminder,
        description: "Somebody has promised to help.",
        text: "Hi {name}, thank you for serving as {role} at {church_name} on {date} at {time}.",
    },
    DefaultTemplate {
        name: "prayer_request_received",
        trade: Trade::Church,
        category: Category::General,
        description: "A prayer request has come in.",
        text: "Hi {name}, {church_name} has received your prayer request. We are praying for you.",
    },
];

impl DefaultTemplate {
    /// As messages are made from it.
    pub fn template(&self) -> Option<NamedTemplate> {
        Some(NamedTemplate::new(self.name, self.category, Template::parse(self.text).ok()?))
    }

    fn written(&self) -> Option<Written> {
        let template = self.template()?;
        Some(Written { template, description: Some(self.description.to_string()), trade: Some(self.trade) })
    }
}

/// The default template of a name, however it is written (S3-49).
pub fn default_template(name: &str) -> Option<&'static DefaultTemplate> {
    let key = template_key(name);
    DEFAULT_TEMPLATES.iter().find(|template| template.name == key)
}

/// How a template's name is compared: in lower case, with `_` for spaces and `-`.
///
/// `Reservation Confirmation` and `reservation-confirmation` are `reservation_confirmation`.
pub fn template_key(name: &str) -> String {
    name.trim().chars().map(|c| if c.is_whitespace() || c == '-' { '_' } else { c }).flat_map(char::to_lowercase).collect()
}

/// The types of message whose texts are listed, and what each is for (S0-42..45).
const TYPES: [(Kind, &str); 4] = [
    (Kind::LessonReminder, "A lesson is soon due."),
    (Kind::PaymentReminder, "A payment is soon due."),
    (Kind::ScheduleChange, "A lesson was moved to another time."),
    (Kind::Attendance, "Whether somebody was at a lesson."),
];

/// The type of message that a name stands for: no template has it.
pub fn type_named(name: &str) -> Option<Kind> {
    let key = template_key(name);
    TYPES.iter().map(|(kind, _)| *kind).find(|kind| kind.word() == key)
}

/// Whose a template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TemplateSource {
    /// The tenant's.
    Own,
    /// Ours, as long as the tenant has none of this name.
    Default,
    /// The text of a type of message, which is changed in the settings.
    Type,
}

/// A template that a tenant can look at, wherever it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub written: Written,
    pub source: TemplateSource,
    /// The type of message whose text it is.
    pub kind: Option<Kind>,
    /// 0 for what is not the tenant's own.
    pub version: u32,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<String>,
}

impl Listed {
    pub fn own(stored: StoredTemplate) -> Self {
        let StoredTemplate { written, version, updated_at, updated_by, deleted: _ } = stored;
        Self { written, source: TemplateSource::Own, kind: None, version, updated_at: Some(updated_at), updated_by }
    }

    fn ours(template: &DefaultTemplate) -> Option<Self> {
        Some(Self::unchanged(template.written()?, TemplateSource::Default, None))
    }

    fn of_type(settings: &Settings, kind: Kind) -> Self {
        let own = settings.kind(kind);
        let template = NamedTemplate {
            name: kind.word().to_string(),
            category: kind.category(),
            text: texts::of_type(settings, kind).clone(),
            active: own.is_none_or(|own| own.enabled),
            content_sid: own.and_then(|own| own.content_sid.clone()),
            content_variables: own.map(|own| own.content_variables.clone()).unwrap_or_default(),
        };
        let description = TYPES.iter().find(|(known, _)| *known == kind).map(|(_, text)| (*text).to_string());
        let written = Written { template, description, trade: Some(Trade::School) };
        Self::unchanged(written, TemplateSource::Type, Some(kind))
    }

    fn unchanged(written: Written, source: TemplateSource, kind: Option<Kind>) -> Self {
        Self { written, source, kind, version: 0, updated_at: None, updated_by: None }
    }
}

/// What a name stands for, given what the tenant has `stored` under it.
pub fn find(settings: &Settings, name: &str, stored: Option<StoredTemplate>) -> Option<Listed> {
    if let Some(kind) = type_named(name) {
        return Some(Listed::of_type(settings, kind));
    }
    match stored.filter(|stored| !stored.deleted) {
        Some(stored) => Some(Listed::own(stored)),
        None => Listed::ours(default_template(name)?),
    }
}

/// Everything that a tenant can look at, given all that it has `stored`: first what is its own or of its trade,
/// then by name.
pub fn list(settings: &Settings, stored: Vec<StoredTemplate>) -> Vec<Listed> {
    let own: Vec<Listed> = stored.into_iter().filter(|stored| !stored.deleted).map(Listed::own).collect();
    let key = |listed: &Listed| template_key(&listed.written.template.name);
    let taken: Vec<String> = own.iter().map(key).collect();
    let ours = DEFAULT_TEMPLATES.iter().filter(|template| !taken.iter().any(|name| name == template.name));
    let types = TYPES.iter().map(|(kind, _)| Listed::of_type(settings, *kind));
    let mut all: Vec<Listed> = ours.filter_map(Listed::ours).chain(types).collect();
    all.extend(own);
    let is_elsewhere = |listed: &Listed| {
        let trade = listed.written.trade;
        settings.trade.is_some() && trade.is_some() && trade != settings.trade
    };
    all.sort_by_cached_key(|listed| (is_elsewhere(listed), key(listed)));
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::lint;
    use crate::domain::samples::with_samples;
    use crate::domain::segments::segments;
    use crate::domain::tenant::TenantId;

    fn settings() -> Settings {
        let settings =
            r#"{"name":"Pizza Palace","timeZone":"America/New_York","defaultRegion":"US","budget":{"currency":"USD"}}"#;
        serde_json::from_str(settings).unwrap()
    }

    fn stored(name: &str, trade: Option<Trade>) -> StoredTemplate {
        let template =
            NamedTemplate { name: name.into(), ..default_template("order_ready").unwrap().written().unwrap().template };
        StoredTemplate::next(None, Written { template, description: None, trade }, Some("ana"), Timestamp::UNIX_EPOCH)
    }

    fn variables(name: &str) -> Vec<String> {
        let template = Template::parse(default_template(name).unwrap().text).unwrap();
        let mut variables: Vec<String> = template.variables().into_iter().map(str::to_string).collect();
        variables.sort();
        variables
    }

    #[test]
    fn each_has_exactly_the_variables_that_are_required() {
        let required: [(&str, &[&str]); 15] = [
            (
                "reservation_confirmation", // S3-40
                &["confirmation_code", "customer_name", "date", "party_size", "restaurant_name", "time"],
            ),
            ("reservation_reminder", &["party_size", "restaurant_name", "time"]), // S3-41
            ("order_ready", &["customer_name", "order_number", "restaurant_name"]), // S3-42
            ("order_delivered", &["order_number", "restaurant_name"]),            // S3-43
            ("authentication_code", &["code", "restaurant_name"]),                // S3-44
            ("marketing_promotion", &["discount", "promo_code", "promotion_text", "restaurant_name"]), // S3-45
            ("win_back", &["customer_name", "offer", "offer_code", "restaurant_name"]), // S2-22, D2
            ("school_closed", &["date", "reason", "school_name"]),
            ("appointment_reminder", &["business_name", "customer_name", "date", "time"]),
            ("follow_up", &["business_name", "customer_name"]),
            ("call_back", &["business_name", "call_back_number", "customer_name"]),
            ("service_reminder", &["church_name", "date", "service", "time"]),
            ("event_announcement", &["church_name", "date", "event", "place", "time"]),
            ("volunteer_reminder", &["church_name", "date", "name", "role", "time"]),
            ("prayer_request_received", &["church_name", "name"]),
        ];

        assert_eq!(required.len(), DEFAULT_TEMPLATES.len());
        for (name, expected) in required {
            assert_eq!(variables(name), expected, "{name}");
        }
    }

    #[test]
    fn each_has_the_category_that_is_required() {
        for (name, category) in [
            ("reservation_confirmation", Category::Reservation),
            ("reservation_reminder", Category::Reminder),
            ("order_ready", Category::Order),
            ("order_delivered", Category::Order),
            ("authentication_code", Category::Authentication),
            ("marketing_promotion", Category::Marketing),
            ("win_back", Category::Marketing),
        ] {
            assert_eq!(default_template(name).unwrap().category, category, "{name}"); // S3-46
        }
    }

    #[test]
    fn marketing_says_how_to_opt_out_and_nothing_else_does() {
        for template in DEFAULT_TEMPLATES {
            let says = template.text.ends_with(" Reply STOP to unsubscribe."); // S1-61
            assert_eq!(says, template.category == Category::Marketing, "{}", template.name);
        }
    }

    #[test]
    fn each_fits_one_segment_with_ordinary_values() {
        for template in DEFAULT_TEMPLATES {
            assert_eq!(lint::forcing_ucs2(template.text), [], "{}", template.name);
            let filled = Template::parse(template.text).unwrap().render(|_| Some("Pizza Palace".into())).unwrap();
            assert_eq!(segments(&filled), 1, "{filled}"); // S0-106
        }
    }

    #[test]
    fn there_is_nothing_to_be_said_against_one() {
        let (tenant, settings) = (TenantId::parse("t").unwrap(), settings());
        for template in DEFAULT_TEMPLATES {
            let text = Template::parse(template.text).unwrap();
            let body = with_samples(&tenant, &settings, &text, None, Timestamp::UNIX_EPOCH);
            let is_marketing = template.category == Category::Marketing;
            let text =
                lint::Text { body: &body, is_spoken: false, is_marketing, is_segmented: true, tenant_name: &settings.name };

            assert!(!body.contains('{'), "{body}");
            assert_eq!(lint::warnings(&text), [], "{body}"); // S1-57, S1-60, S1-61, S3-64
        }
    }

    #[test]
    fn each_trade_has_some() {
        for trade in [Trade::School, Trade::Church, Trade::Restaurant, Trade::Business] {
            assert!(DEFAULT_TEMPLATES.iter().any(|template| template.trade == trade), "{trade:?}");
        }
    }

    #[test]
    fn a_tenants_own_takes_the_place_of_ours_until_it_is_deleted() {
        let settings = settings();
        let own = stored("Order Ready", None);
        let gone = StoredTemplate { deleted: true, ..own.clone() };
        let listed = |stored: StoredTemplate| {
            let all = list(&settings, vec![stored]);
            let found = all.iter().filter(|listed| template_key(&listed.written.template.name) == "order_ready");
            found.map(|listed| (listed.source, listed.version)).collect::<Vec<_>>()
        };

        assert_eq!(listed(own.clone()), [(TemplateSource::Own, 1)]);
        assert_eq!(listed(gone.clone()), [(TemplateSource::Default, 0)]);
        assert_eq!(find(&settings, "order-ready", Some(own)).unwrap().source, TemplateSource::Own);
        assert_eq!(find(&settings, "order ready", Some(gone)).unwrap().source, TemplateSource::Default);
        assert_eq!(find(&settings, "no_such", None), None);
    }

    #[test]
    fn the_tenants_own_and_its_trade_come_first() {
        let church = Settings { trade: Some(Trade::Church), ..settings() };
        let names = |settings: &Settings| {
            let all = list(settings, vec![stored("zebra", None), stored("aardvark", Some(Trade::School))]);
            all.into_iter().map(|listed| listed.written.template.name).collect::<Vec<_>>()
        };

        let first =
            ["event_announcement", "prayer_request_received", "service_reminder", "volunteer_reminder", "zebra", "aardvark"];
        assert_eq!(names(&church)[..6], first);
        let mut sorted = names(&settings());
        sorted.sort();
        assert_eq!(names(&settings()), sorted);
        assert_eq!(sorted.len(), DEFAULT_TEMPLATES.len() + TYPES.len() + 2);
    }

    #[test]
    fn the_texts_of_types_are_listed_as_the_settings_have_them() {
        let mut settings = settings();
        settings.types.attendance.template = Some(Template::parse("{name}: {status}").unwrap());
        settings.types.attendance.enabled = false;

        let listed = find(&settings, "Attendance", None).unwrap();

        assert_eq!((listed.source, listed.kind), (TemplateSource::Type, Some(Kind::Attendance)));
        let template = listed.written.template;
        assert_eq!((template.text.as_str(), template.active), ("{name}: {status}", false)); // S0-25, S0-27
        for (kind, _) in TYPES {
            assert_eq!((type_named(kind.word()), default_template(kind.word())), (Some(kind), None));
        }
    }

    #[test]
    fn the_win_back_text_reads_as_the_source_has_it() {
        let template = Template::parse(default_template("win_back").unwrap().text).unwrap();

        let body = template.render(|name| {
            Some(match name {
                "customer_name" => "Jane".into(),
                "restaurant_name" => "Pizza Palace".into(),
                "offer" => "Get 20% off!".into(),
                _ => "BACK20".into(),
            })
        });

        let expected = "Hi Jane! We miss you at Pizza Palace! Get 20% off! Use code BACK20. Reply STOP to unsubscribe.";
        assert_eq!(body.unwrap(), expected); // S2-22
    }

    #[test]
    fn names_are_compared_without_case_spaces_and_dashes() {
        for name in ["reservation_confirmation", "Reservation Confirmation", " RESERVATION-confirmation "] {
            assert_eq!(default_template(name).map(|template| template.name), Some("reservation_confirmation"), "{name}");
        }
        assert_eq!(default_template("reservation"), None);
        assert_eq!(default_template(""), None);
    }

    #[test]
    fn names_are_unique_and_written_as_they_are_compared() {
        for (at, template) in DEFAULT_TEMPLATES.iter().enumerate() {
            assert_eq!(template.name, template_key(template.name));
            assert!(DEFAULT_TEMPLATES[at + 1..].iter().all(|other| other.name != template.name));
        }
    }
}
