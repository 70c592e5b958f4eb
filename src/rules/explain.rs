//! Explains a decision of [`crate::rules::evaluate`], requirement by requirement. Contains no claim
//! values and no part of a credential.

use serde_json::{Map, Value};

use crate::rules::requirement::Requirement;
use crate::rules::{Asked, Demand, Mismatch, Rule, Rules, Subject, case, evaluate};

/// The decision about a request as JSON: the rules that did not match and why, the rule that
/// matched, and each of its requirements.
#[must_use]
pub fn explain(
    rules: &Rules,
    asked: &Asked<'_>,
    subject: Option<&Subject<'_>>,
) -> Map<String, Value> {
    let rule = rules.rule_for(asked);
    let folded = if rules.ignores_case {
        case::fold(asked.path)
    } else {
        asked.path.into()
    };
    let compared = Asked {
        path: &folded,
        ..*asked
    };
    let passed_over = rules
        .list
        .iter()
        .take_while(|other| !std::ptr::eq(*other, rule))
        .map(|other| {
            let because = other.mismatch(&compared).map_or("", because);
            Value::Object(object([
                ("rule", number(other)),
                ("name", text(other.name.as_deref())),
                ("because", because.into()),
            ]))
        })
        .collect();
    let verdict = evaluate(rule, asked, subject);
    let passes_as = match (&verdict, subject) {
        (Ok(()), Some(_)) if !rule.is_public() && !asked.preflight => Some("principal"),
        (Ok(()), _) => Some("anonymous"),
        (Err(_), _) => None,
    };
    object([
        ("rule", number(rule)),
        ("name", text(rule.name.as_deref())),
        ("demands", demands(rule).into()),
        ("granted", verdict.is_ok().into()),
        ("as", text(passes_as)),
        (
            "refusal",
            text(verdict.err().map(|refusal| refusal.to_string()).as_deref()),
        ),
        (
            "requirements",
            rule.requirement().map_or(Value::Null, |requirement| {
                check(requirement, asked, subject)
            }),
        ),
        ("passed_over", Value::Array(passed_over)),
    ])
}

/// Creates an object of these members. (Smaller in Wasm than the expansion of `json!`.)
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    object
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

fn number(rule: &Rule) -> Value {
    if rule.number == 0 {
        Value::Null
    } else {
        rule.number.into()
    }
}

const fn because(mismatch: Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Host => "it is for other hosts",
        Mismatch::Method => "it is for other methods",
        Mismatch::Path => "it is for other paths",
    }
}

fn demands(rule: &Rule) -> &'static str {
    match (&rule.demand, rule.number) {
        (Demand::Deny, 0) => "no rule matches: everyone is denied",
        (Demand::Deny, _) => "deny: everyone is denied",
        (Demand::Public, _) => "public: everyone is allowed, without identity",
        (Demand::Anonymous(None), _) => "anonymous_ok: everyone is allowed",
        (Demand::Anonymous(Some(_)), _) => {
            "anonymous_ok: everyone who meets the requirements is allowed, signed in or not"
        }
        (Demand::Authenticated(_), _) => "signed-in users who meet the requirements are allowed",
    }
}

fn check(requirement: &Requirement, asked: &Asked<'_>, subject: Option<&Subject<'_>>) -> Value {
    let within: &[Requirement] = match requirement {
        Requirement::Not(inner) => std::slice::from_ref(inner),
        Requirement::Any(inner) | Requirement::All(inner) => inner,
        _ => &[],
    };
    let held = requirement.holds(asked, subject);
    let mut told = object([
        ("requirement", requirement.to_string().into()),
        ("held", held.map_or(Value::Null, Value::Bool)),
        ("because", why(requirement, held, asked, subject).into()),
    ]);
    if !within.is_empty() {
        let within = within.iter().map(|r| check(r, asked, subject)).collect();
        told.insert("within".to_owned(), Value::Array(within));
    }
    Value::Object(told)
}

fn why(
    requirement: &Requirement,
    held: Option<bool>,
    asked: &Asked<'_>,
    subject: Option<&Subject<'_>>,
) -> &'static str {
    use Requirement as R;
    let held = match (held, requirement) {
        (Some(held), _) => held,
        (None, R::Network(_)) if asked.address.is_none() => {
            return "the client's address is not known";
        }
        (None, R::Country(_)) => return "the client's country is not known",
        (None, _) => return "it cannot be determined",
    };
    let Some(subject) = subject else {
        return match requirement {
            R::Network(_) if held => "the address is in one of them",
            R::Network(_) => "the address is in none of them",
            R::Country(_) if held => "the country is one of them",
            R::Country(_) => "the country is none of them",
            R::Not(_) | R::Any(_) | R::All(_) => "see within",
            _ => "the caller is anonymous",
        };
    };
    match (requirement, held) {
        (R::Authenticated, _) => "the caller is signed in",
        (R::Role(_) | R::Scope(_), true) => "the caller has one of them",
        (R::Role(_), false) if subject.roles.is_empty() => "the caller has no role",
        (R::Role(_), false) => "the caller has other roles",
        (R::AllRoles(_) | R::AllScopes(_), true) => "the caller has all of them",
        (R::AllRoles(_) | R::AllScopes(_), false) => "the caller lacks at least one of them",
        (R::Access(_), true) => "a scope of the caller covers it",
        (R::Scope(_) | R::Access(_), false) if subject.scopes.is_empty() => {
            "the caller has no scope"
        }
        (R::Scope(_), false) => "the caller has other scopes",
        (R::Access(_), false) => "no scope of the caller covers it",
        (R::Claim(_), true) => "the claim matches",
        (R::Claim(claim), false) if !claim.is_present(subject.claims.members()) => {
            "the caller has no such claim"
        }
        (R::Claim(_), false) => "the claim has another value",
        (R::Tenant(_) | R::Workspace(_), true) => "it is the caller's",
        (R::Tenant(_), false) if subject.tenant.is_none() => "the caller has no tenant",
        (R::Workspace(_), false) if subject.workspace.is_none() => "the caller has no workspace",
        (R::Tenant(_) | R::Workspace(_), false) => "the caller has another",
        (R::EmailDomain(_) | R::Network(_), true) => "the address is in one of them",
        (R::EmailDomain(_) | R::Network(_), false) => "the address is in none of them",
        (R::Country(_), true) => "the country is one of them",
        (R::Country(_), false) => "the country is none of them",
        (R::Amr(_), true) => "the caller has signed in by one of them",
        (R::Amr(_), false) if subject.methods.is_empty() => {
            "it is not known how the caller has signed in"
        }
        (R::Amr(_), false) => "the caller has signed in otherwise",
        (R::MaxAge(_), true) => "the caller has signed in since then",
        (R::MaxAge(_), false) if subject.age.is_none() => {
            "it is not known when the caller has signed in"
        }
        (R::MaxAge(_), false) => "the caller has signed in before that",
        (R::Not(_) | R::Any(_) | R::All(_), _) => "see within",
    }
}
