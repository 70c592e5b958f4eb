//! What a rule wants of somebody who is signed in already: to sign in once more, more recently or by another method. As a
//! query carries it to the sign-in page. It only says what to offer there; the rule is asked again afterwards.

use crate::http::query;
use crate::model::proof::Proof;
use crate::model::user::UserId;
use crate::platform::time::Timestamp;
use crate::rules::Rule;
use crate::rules::requirement::Requirement;

/// The parameters.
const USER: &str = "user";
const MAX_AGE: &str = "max_age";
const METHODS: &str = "amr";

/// The longest list of methods that is carried, in bytes.
const MAX_METHODS: usize = 500;

/// A sign-in that is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StepUp {
    /// Of whom. Nobody else takes the place of their session.
    pub user: UserId,
    /// Less than so many seconds ago.
    pub max_age: Option<u32>,
    /// By one of these methods; by any, if there is none.
    pub methods: Vec<String>,
}

impl StepUp {
    /// What `rule` wants of `user`, all alternatives taken together.
    #[must_use]
    pub fn of(rule: &Rule, user: UserId) -> Self {
        let mut wanted = Self {
            user,
            max_age: None,
            methods: Vec::new(),
        };
        if let Some(requirement) = rule.requirement() {
            wanted.add(requirement);
        }
        wanted
    }

    fn add(&mut self, requirement: &Requirement) {
        match requirement {
            Requirement::MaxAge(age) => {
                self.max_age = Some(self.max_age.map_or(*age, |other| other.min(*age)));
            }
            Requirement::Amr(methods) => {
                for method in methods {
                    if !self.methods.iter().any(|known| **known == **method) {
                        self.methods.push(method.to_string());
                    }
                }
            }
            Requirement::Any(inner) | Requirement::All(inner) => {
                inner.iter().for_each(|r| self.add(r));
            }
            _ => {}
        }
    }

    /// Reads the fields of a query or a form.
    #[must_use]
    pub fn read(field: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let methods = field(METHODS).filter(|text| text.len() <= MAX_METHODS);
        let methods = methods.unwrap_or_default();
        Some(Self {
            user: UserId::parse(&field(USER)?)?,
            max_age: field(MAX_AGE).and_then(|text| text.parse().ok()),
            methods: methods.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![(USER, self.user.to_string())];
        if let Some(age) = self.max_age {
            fields.push((MAX_AGE, age.to_string()));
        }
        if !self.methods.is_empty() {
            fields.push((METHODS, self.methods.join(" ")));
        }
        fields
    }

    /// `url`, which has a query, with the fields of what is wanted, if anything is.
    #[must_use]
    pub fn add_to(url: String, wanted: Option<&Self>) -> String {
        let Some(wanted) = wanted else {
            return url;
        };
        let fields = wanted.fields();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        [&url, "&", &query::form(&fields)].concat()
    }

    /// Whether a sign-in is what is wanted.
    #[must_use]
    pub fn is_met_by(&self, proof: Option<&Proof>, now: Timestamp) -> bool {
        let age = proof.and_then(|proof| proof.at).map(|at| now.since(at).0);
        let in_time = |max| age.is_some_and(|age| age < max);
        let mut methods = proof.iter().flat_map(|proof| &proof.methods);
        self.max_age.is_none_or(in_time)
            && (self.methods.is_empty() || methods.any(|method| self.methods.contains(method)))
    }

    /// Whether a method of this name, or one that is named after it, is wanted.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        let is_it = |method: &String| {
            let rest = method.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.methods.is_empty() || self.methods.iter().any(is_it)
    }
}
