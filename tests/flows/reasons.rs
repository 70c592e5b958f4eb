//! The table of reasons, row by row.

use edgeward::answer::denial::{CODES, Challenge, Denial};
use edgeward::answer::reading::Lead;
use edgeward::http::outside::Rule;
use edgeward::http::path::PathError;
use edgeward::jose::error::TokenError;
use edgeward::memory::provider::ProviderCause;
use edgeward::model::api_token::Scope;
use edgeward::model::user::{Email, UserId};
use edgeward::passkey::PasskeyError;
use edgeward::platform::port::Fault;
use edgeward::platform::time::Seconds;
use edgeward::rules::step_up::StepUp;
use edgeward::rules::{Failing, Refusal};
use edgeward::site::words::Words;

type Line = (Denial, u16, &'static str, Challenge, bool);

fn again() -> Denial {
    let refusal = Refusal {
        rule: 1,
        failing: Failing::SignInAgain("max_age"),
    };
    let wanted = StepUp {
        user: UserId::unused("x"),
        max_age: Some(60),
        methods: Vec::new(),
    };
    Denial::SignInAgain(refusal, Box::new(wanted))
}

/// Every reason, with status, code, challenge, and whether signing in helps.
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<Line> {
    use Challenge::{InsufficientScope, InvalidToken, None, Required};
    let mut table = vec![
        (Denial::UnknownHost, 404, "not_found", None, false),
        (Denial::UnknownEndpoint, 404, "not_found", None, false),
        (Denial::NotFound, 404, "not_found", None, false),
        (Denial::Malformed, 400, "bad_request", None, false),
        (Denial::HttpsRequired, 400, "https_required", None, false),
        (
            Denial::MethodRefused,
            405,
            "method_not_allowed",
            None,
            false,
        ),
        (
            Denial::MethodNotAllowed("GET"),
            405,
            "method_not_allowed",
            None,
            false,
        ),
        (Denial::SignInRequired, 401, "token_missing", Required, true),
        (
            again(),
            401,
            "sign_in_again",
            Challenge::InsufficientSignIn(Some(60)),
            true,
        ),
        (Denial::OtherUser, 403, "other_user", None, false),
        (Denial::CrossOrigin, 403, "cross_origin", None, false),
        (Denial::Speculative, 503, "not_ahead", None, false),
        (
            Denial::AuthenticationRequired,
            401,
            "authentication_required",
            Required,
            false,
        ),
        (
            Denial::InvalidApiToken,
            401,
            "invalid_api_token",
            InvalidToken,
            false,
        ),
        (
            Denial::ScopeMissing(Scope::Admin),
            403,
            "insufficient_scope",
            InsufficientScope,
            false,
        ),
        (
            Denial::OutsideLimit,
            403,
            "insufficient_scope",
            InsufficientScope,
            false,
        ),
        (Denial::BodyTooSlow, 408, "request_timeout", None, false),
        (Denial::OwnApiToken, 403, "own_token", None, false),
        (
            Denial::TooManyApiTokens,
            409,
            "too_many_tokens",
            None,
            false,
        ),
        (Denial::Hidden, 404, "not_found", None, false),
        (Denial::Withheld, 403, "forbidden", None, false),
        (Denial::RateLimited, 429, "rate_limited", None, false),
        (Denial::TooManyActs, 429, "rate_limited", None, false),
        (Denial::BodyTooLarge, 413, "payload_too_large", None, false),
        (Denial::InvalidJson, 400, "invalid_json", None, false),
        (Denial::EmailRequired, 400, "invalid_request", None, false),
        (Denial::InvalidEmail, 400, "invalid_request", None, false),
        (
            Denial::InvalidField("x"),
            400,
            "invalid_request",
            None,
            false,
        ),
        (
            Denial::UnknownField("x".into()),
            400,
            "invalid_request",
            None,
            false,
        ),
        (Denial::InvalidCursor, 400, "invalid_cursor", None, false),
        (Denial::UserExists, 409, "user_exists", None, false),
        (
            Denial::UserNotFound(Email::parse("a@b.c").unwrap(), 422),
            422,
            "USER_NOT_FOUND",
            None,
            false,
        ),
        (Denial::UserDisabled, 403, "user_disabled", None, false),
        (Denial::AdminOnly, 403, "admin_only", None, false),
        (
            Denial::AccountRefused("deactivated"),
            403,
            "account_refused",
            None,
            false,
        ),
        (Denial::Misconfigured, 500, "misconfigured", None, false),
        (
            Denial::OriginUnreachable,
            502,
            "origin_unreachable",
            None,
            false,
        ),
    ];
    for (failing, code, challenge) in [
        (Failing::Denied, "forbidden", None),
        (Failing::Requirement("role"), "forbidden", None),
        (
            Failing::Requirement("scope"),
            "insufficient_scope",
            InsufficientScope,
        ),
        (
            Failing::Requirement("all_scopes"),
            "insufficient_scope",
            InsufficientScope,
        ),
        (
            Failing::Requirement("access"),
            "insufficient_scope",
            InsufficientScope,
        ),
    ] {
        let refusal = Refusal { rule: 1, failing };
        table.push((Denial::Refused(refusal), 403, code, challenge, false));
    }
    for error in [
        PathError::Separator,
        PathError::Twice,
        PathError::Escape,
        PathError::Control,
        PathError::Utf8,
        PathError::Parameter,
    ] {
        table.push((Denial::Path(error), 400, "bad_request", None, false));
    }
    table.push((Denial::Destination, 400, "bad_request", None, false));
    for denial in [
        Denial::AmbiguousPath(Lead::Rule(1), Lead::Endpoint),
        Denial::Path(PathError::Readings),
    ] {
        table.push((denial, 400, "ambiguous_path", None, false));
    }
    table.push((
        Denial::Path(PathError::TooLong),
        414,
        "path_too_long",
        None,
        false,
    ));
    for fault in [
        Fault::Kv,
        Fault::Record,
        Fault::Once,
        Fault::Crypto,
        Fault::SealedWithUnknownSecret,
        Fault::Limit,
        Fault::Body,
        Fault::Fetch,
        Fault::Application("does nothing"),
    ] {
        table.push((
            Denial::Fault(fault),
            503,
            "temporarily_unavailable",
            None,
            false,
        ));
        table.push((
            Denial::Credential(TokenError::Fault(fault)),
            503,
            "temporarily_unavailable",
            None,
            false,
        ));
    }
    for error in [
        TokenError::Expired,
        TokenError::Ended,
        TokenError::LinkTooOld,
    ] {
        table.push((
            Denial::Credential(error),
            401,
            "token_expired",
            InvalidToken,
            true,
        ));
    }
    for error in [
        TokenError::TooLong,
        TokenError::NotCompact,
        TokenError::Header,
        TokenError::Critical,
        TokenError::Type,
        TokenError::Algorithm,
        TokenError::UnknownKey,
        TokenError::Signature,
        TokenError::Claims,
        TokenError::MissingClaim("sub"),
        TokenError::ClaimForm("sub"),
        TokenError::ClaimValue("sub"),
        TokenError::UnlistedClaim,
        TokenError::OwnToken,
        TokenError::NotYet,
        TokenError::Lifetime,
        TokenError::Issuer,
        TokenError::Audience,
        TokenError::LinkUsed,
        TokenError::OnlyLink,
        TokenError::UnknownUser,
        TokenError::Conflict,
        TokenError::OtherTenant,
        TokenError::OwnCredential,
        TokenError::UnknownIssuer,
        TokenError::EmailDomain,
    ] {
        table.push((
            Denial::Credential(error),
            401,
            "token_invalid",
            InvalidToken,
            true,
        ));
    }
    let of_the_gateway = [
        (Denial::WrongPassword, 403, "wrong_password"),
        (Denial::SignInDelayed(Seconds(1)), 429, "rate_limited"),
        (Denial::FormExpired, 403, "form_expired"),
        (Denial::SignInOver, 410, "sign_in_over"),
        (Denial::SignInElsewhere, 403, "sign_in_elsewhere"),
        (Denial::SignOutElsewhere, 403, "sign_out_elsewhere"),
        (
            Denial::Provider("id".into(), ProviderCause::Iss),
            502,
            "provider_failed",
        ),
        (
            Denial::ProviderDeclined("id".into()),
            403,
            "sign_in_declined",
        ),
        (
            Denial::ProviderAccount("id".into(), TokenError::UnknownUser),
            403,
            "account_refused",
        ),
        (
            Denial::ProviderAccount("id".into(), TokenError::DisabledUser),
            403,
            "user_disabled",
        ),
        (
            Denial::LogoutToken("id".into(), TokenError::Signature),
            400,
            "invalid_request",
        ),
        (Denial::ServiceRefused, 403, "service_refused"),
        (Denial::TooManyServices, 409, "too_many_services"),
        (Denial::NoGateway, 409, "no_gateway"),
        (Denial::NoMetrics, 409, "no_metrics"),
        (Denial::NoDirectory, 409, "no_directory"),
        (Denial::PasswordExists, 409, "password_exists"),
        (Denial::SamePassword, 400, "same_password"),
        (
            Denial::Passkey(PasskeyError::Cloned),
            400,
            "passkey_invalid",
        ),
        (
            Denial::InvalidUrl("base_url", Rule::Https),
            400,
            "invalid_request",
        ),
    ];
    for (denial, status, code) in of_the_gateway {
        table.push((denial, status, code, None, false));
    }
    for error in [TokenError::UnknownTenant, TokenError::NoTenant] {
        let denial = Denial::Credential(error);
        table.push((denial, 400, "unknown_tenant", None, false));
    }
    table.push((
        Denial::Credential(TokenError::TooManyAttempts),
        429,
        "rate_limited",
        None,
        false,
    ));
    table.push((
        Denial::Credential(TokenError::DisabledUser),
        403,
        "user_disabled",
        None,
        false,
    ));
    table
}

/// A new reason does not compile until it stands here, and does not pass until it has a row.
const fn number_of(denial: &Denial) -> usize {
    match denial {
        Denial::UnknownHost => 0,
        Denial::UnknownEndpoint => 1,
        Denial::Malformed => 2,
        Denial::Path(_) => 3,
        Denial::MethodRefused => 4,
        Denial::MethodNotAllowed(_) => 5,
        Denial::SignInRequired => 6,
        Denial::Credential(_) => 7,
        Denial::CrossOrigin => 8,
        Denial::AuthenticationRequired => 9,
        Denial::InvalidApiToken => 10,
        Denial::ScopeMissing(_) => 11,
        Denial::OutsideLimit => 12,
        Denial::RateLimited => 13,
        Denial::BodyTooLarge => 14,
        Denial::InvalidJson => 15,
        Denial::EmailRequired => 16,
        Denial::InvalidEmail => 17,
        Denial::InvalidField(_) => 18,
        Denial::UnknownField(_) => 19,
        Denial::InvalidCursor => 20,
        Denial::NotFound => 21,
        Denial::UserExists => 22,
        Denial::UserNotFound(..) => 23,
        Denial::UserDisabled => 24,
        Denial::Misconfigured => 25,
        Denial::OriginUnreachable => 26,
        Denial::Fault(_) => 27,
        Denial::Refused(_) => 28,
        Denial::Hidden => 29,
        Denial::Withheld => 30,
        Denial::AdminOnly => 31,
        Denial::AccountRefused(_) => 32,
        Denial::OwnApiToken => 33,
        Denial::TooManyApiTokens => 34,
        Denial::BodyTooSlow => 35,
        Denial::Speculative => 36,
        Denial::WrongPassword => 37,
        Denial::SignInDelayed(_) => 38,
        Denial::FormExpired => 39,
        Denial::SignInOver => 40,
        Denial::SignInElsewhere => 41,
        Denial::ServiceRefused => 42,
        Denial::TooManyServices => 43,
        Denial::NoGateway => 44,
        Denial::PasswordExists => 45,
        Denial::InvalidUrl(..) => 46,
        Denial::SamePassword => 47,
        Denial::AmbiguousPath(..) => 48,
        Denial::Destination => 49,
        Denial::HttpsRequired => 50,
        Denial::Provider(..) => 51,
        Denial::ProviderDeclined(_) => 52,
        Denial::ProviderAccount(..) => 53,
        Denial::LogoutToken(..) => 54,
        Denial::Passkey(_) => 55,
        Denial::SignOutElsewhere => 56,
        Denial::SignInAgain(..) => 57,
        Denial::OtherUser => 58,
        Denial::NoMetrics => 59,
        Denial::TooManyActs => 60,
        Denial::NoDirectory => 61,
    }
}

#[test]
fn no_reason_is_without_a_row() {
    let mut found: Vec<usize> = table()
        .iter()
        .map(|(denial, ..)| number_of(denial))
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, (0..found.len()).collect::<Vec<_>>());
    assert_eq!(found.len(), 62);
}

#[test]
fn every_reason_has_its_row() {
    for (denial, status, code, challenge, sign_in_helps) in table() {
        let row = denial.row();
        let found = (row.status, row.code, row.challenge, row.sign_in_helps);
        assert_eq!(
            found,
            (status, code, challenge, sign_in_helps),
            "{denial:?}"
        );
        assert!(!denial.reason().is_empty() && !row.text.is_empty() && !row.title.is_empty());
        let challenged = status == 401 || code == "insufficient_scope";
        assert_eq!(challenged, challenge != Challenge::None, "{denial:?}");
    }
}

#[test]
fn pages_say_in_english_what_programs_are_told_and_in_german_something_else() {
    let (english, german) = (Words::new(None, None), Words::new(None, Some("de")));
    for (denial, ..) in table() {
        let row = denial.row();
        assert_eq!(row.title_in(english), row.title, "{denial:?}");
        assert_eq!(row.text_in(english), row.text, "{denial:?}");
        let is_translated = row.text_in(german) != row.text && row.title_in(german) != row.title;
        assert_eq!(is_translated, !row.key.is_empty(), "{denial:?}");
    }
}

#[test]
fn the_list_of_codes_has_those_of_every_reason_and_no_other() {
    let mut found: Vec<&str> = table().iter().map(|(_, _, code, ..)| *code).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, CODES);
}

#[test]
fn no_public_text_tells_one_bad_credential_from_another() {
    let texts: std::collections::BTreeSet<(&str, &str)> = table()
        .into_iter()
        .filter(|(_, _, code, ..)| *code == "token_invalid")
        .map(|(denial, ..)| (denial.row().title, denial.row().text))
        .collect();
    // A used link is told from a bad token, and nothing else.
    assert_eq!(texts.len(), 2, "{texts:?}");
}
