//! What a number's wishes come to: whether it may be messaged, and about what.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::consent::{Scope, Wish};
use super::contact::Category;

/// How a number stands with the tenant. Nobody has to opt in first: that is the tenant's to see to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// It wants nothing at all.
    #[serde(default)]
    pub stopped: bool,
    /// Of these it wants nothing.
    #[serde(default)]
    pub categories: BTreeSet<Category>,
}

impl Standing {
    /// Whether a message of `category` may not go to it.
    pub fn stops(&self, category: Category) -> bool {
        self.stopped || self.categories.contains(&category)
    }

    /// Whether it may get anything that is for everybody.
    pub fn is_open(&self) -> bool {
        !self.stopped && self.categories.is_empty()
    }

    /// How it stands after `wish`.
    ///
    /// START lifts everything: whoever says so wants messages. START of one category, after STOP, wants
    /// that one and nothing else.
    pub fn after(&self, wish: &Wish) -> Self {
        match wish {
            Wish::Help => self.clone(),
            Wish::Stop(Scope::All) => Self { stopped: true, ..self.clone() },
            Wish::Stop(Scope::Only(categories)) => {
                Self { stopped: self.stopped, categories: self.categories.union(categories).copied().collect() }
            }
            Wish::Start(Scope::All) => Self::default(),
            Wish::Start(Scope::Only(wanted)) => {
                let unwanted = if self.stopped { Category::ALL.into_iter().collect() } else { self.categories.clone() };
                Self { stopped: false, categories: unwanted.difference(wanted).copied().collect() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(category: Category) -> Scope {
        Scope::Only([category].into())
    }

    #[test]
    fn categories_stop_and_start_by_themselves() {
        let standing = Standing::default().after(&Wish::Stop(only(Category::Lessons)));
        assert!(standing.stops(Category::Lessons) && !standing.stops(Category::Payments));
        assert!(standing.after(&Wish::Start(only(Category::Lessons))).is_open());
        assert!(standing.after(&Wish::Start(Scope::All)).is_open());
        assert_eq!(standing.after(&Wish::Help), standing);
    }

    #[test]
    fn one_category_after_a_stop_is_that_one_alone() {
        let stopped = Standing::default().after(&Wish::Stop(Scope::All));
        assert!(Category::ALL.into_iter().all(|category| stopped.stops(category)));

        let standing = stopped.after(&Wish::Start(only(Category::Lessons)));

        assert!(!standing.stops(Category::Lessons));
        assert!(Category::ALL.into_iter().filter(|category| *category != Category::Lessons).all(|other| standing.stops(other)));
    }
}
