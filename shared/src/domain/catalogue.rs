//! The default templates by name, which every tenant has without doing anything (S2-22, S3-40..46, S3-49).
//!
//! The texts of lesson and payment reminders, moves and attendance are not here: they belong to their
//! type of message, in [`super::texts`].

use super::contact::Category;

/// A template as we deliver it; a tenant's own of the same name takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultTemplate {
    /// As [`template_key`] writes it.
    pub name: &'static str,
    pub category: Category,
    pub description: &'static str,
    /// What [`super::template::Template::parse`] reads.
    pub text: &'static str,
}

pub const DEFAULT_TEMPLATES: &[DefaultTemplate] = &[
    // S3-40
    DefaultTemplate {
        name: "reservation_confirmation",
        category: Category::Reservation,
        description: "A table is booked.",
        text: "Hi {customer_name}, your table for {party_size} at {restaurant_name} is confirmed for {date} at {time}. \
               Confirmation code: {confirmation_code}.",
    },
    // S3-41
    DefaultTemplate {
        name: "reservation_reminder",
        category: Category::Reminder,
        description: "A booked table is soon due.",
        text: "Reminder: your table for {party_size} at {restaurant_name} is booked for {time}. See you soon!",
    },
    // S3-42
    DefaultTemplate {
        name: "order_ready",
        category: Category::Order,
        description: "An order can be picked up.",
        text: "Hi {customer_name}, your order #{order_number} is ready for pickup at {restaurant_name}!",
    },
    // S3-43
    DefaultTemplate {
        name: "order_delivered",
        category: Category::Order,
        description: "An order has been delivered.",
        text: "Your order #{order_number} from {restaurant_name} has been delivered. Enjoy!",
    },
    // S3-44
    DefaultTemplate {
        name: "authentication_code",
        category: Category::Authentication,
        description: "A one-time code to sign in.",
        text: "Your {restaurant_name} verification code is {code}. Do not share it with anyone.",
    },
    // S3-45. A discount is written as `20%`, `20% off` or `$5`: the text must read well with each.
    DefaultTemplate {
        name: "marketing_promotion",
        category: Category::Marketing,
        description: "A promotion with a code.",
        text: "{restaurant_name}: {promotion_text} - {discount} with code {promo_code}. Reply STOP to unsubscribe.",
    },
    // S2-22 with the variables of D2, and how to opt out (S1-57).
    DefaultTemplate {
        name: "win_back",
        category: Category::Marketing,
        description: "An offer to a guest who has not ordered for a while.",
        text: "Hi {customer_name}! We miss you at {restaurant_name}! {offer} Use code {offer_code}. Reply STOP to unsubscribe.",
    },
];

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::lint;
    use crate::domain::segments::segments;
    use crate::domain::template::Template;

    fn variables(name: &str) -> Vec<String> {
        let template = Template::parse(default_template(name).unwrap().text).unwrap();
        let mut variables: Vec<String> = template.variables().into_iter().map(str::to_string).collect();
        variables.sort();
        variables
    }

    #[test]
    fn each_has_exactly_the_variables_that_are_required() {
        let required: [(&str, &[&str]); 7] = [
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
            assert_eq!(segments(&filled), 1, "{filled}");
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
