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
            Requirement::Any(inner) => inner.iter().for_each(|r| self.add(r)),
            Requirement::All(inner) => {
                let before = std::mem::take(&mut self.methods);
                let mut all = Vec::new();
                for requirement in inner {
                    self.add(requirement);
                    all = common(all, std::mem::take(&mut self.methods));
                }
                self.methods = before;
                for method in all {
                    if !self.methods.contains(&method) {
                        self.methods.push(method);
                    }
                }
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
        self.max_age.is_none_or(in_time) && is_by(&self.methods, proof)
    }

    /// Whether a method of this name, or one that is named after it, is wanted.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        includes(&self.methods, name)
    }
}

/// Whether one of `methods` is of this name, or named after it; with none, any is.
#[must_use]
pub fn includes(methods: &[String], name: &str) -> bool {
    methods.is_empty() || methods.iter().any(|method| is_below(method, name))
}

/// Whether a sign-in was by one of `methods`; with none, any is.
#[must_use]
pub fn is_by(methods: &[String], proof: Option<&Proof>) -> bool {
    let mut proved = proof.iter().flat_map(|proof| &proof.methods);
    methods.is_empty() || proved.any(|method| methods.contains(method))
}

fn is_below(method: &str, name: &str) -> bool {
    let rest = method.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// The methods by which both of two wishes can come true; with none, a wish is for any. If there is no such method, it takes
/// several at once.
fn common(one: Vec<String>, other: Vec<String>) -> Vec<String> {
    if one.is_empty() || other.is_empty() {
        return if one.is_empty() { other } else { one };
    }
    let narrower = |these: &[String], those: &[String]| -> Vec<String> {
        let fits = |method: &&String| those.iter().any(|name| is_below(method, name));
        these.iter().filter(fits).cloned().collect()
    };
    let mut both = narrower(&one, &other);
    for method in narrower(&other, &one) {
        if !both.contains(&method) {
            both.push(method);
        }
    }
    if both.is_empty() {
        both = [one, other].concat();
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Demand, Reaction};

    fn amr(methods: &[&str]) -> Requirement {
        Requirement::Amr(methods.iter().map(|method| Box::from(*method)).collect())
    }

    fn wanted(requirement: Requirement) -> Vec<String> {
        let rule = Rule::of_everything(Demand::Authenticated(requirement), Reaction::Login);
        let user = UserId::parse("usr_0123456789abcdefghijkl").unwrap();
        StepUp::of(&rule, user).methods
    }

    #[test]
    fn what_all_ask_for_is_what_meets_each_of_them() {
        let all = |inner: &[Requirement]| Requirement::All(inner.into());
        let site = || amr(&["passkey", "provider:kc"]);
        for (inner, expected) in [
            (amr(&["passkey", "password"]), &["passkey"][..]),
            (amr(&["provider:kc:mfa"]), &["provider:kc:mfa"]),
            (Requirement::MaxAge(9), &["passkey", "provider:kc"]),
            (
                all(&[Requirement::Authenticated]),
                &["passkey", "provider:kc"],
            ),
            // One sign-in may be by several methods.
            (
                amr(&["provider:kcx"]),
                &["provider:kcx", "passkey", "provider:kc"],
            ),
        ] {
            assert_eq!(wanted(all(&[inner, site()])), expected);
        }
        let either = Requirement::Any([amr(&["a"]), all(&[amr(&["b", "c"]), amr(&["c"])])].into());
        assert_eq!(wanted(either), ["a", "c"]);
    }
}
