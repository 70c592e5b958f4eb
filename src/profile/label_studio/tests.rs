use super::*;
use crate::config::tests::{bindings, paths, site};
use crate::model::user::Role;
use crate::site::label_studio::{Mode, RESERVED};

const SECRET_KEY: &str = "pZ3vX8qLm1Rt6Yw0Kb5Nc9Jd4Hf7Gs2A";

fn errors(settings: &str) -> Vec<String> {
    let mut bindings = bindings(&format!(r#"{{"label_studio": {settings}}}"#));
    bindings.insert("STUDIO_KEY".into(), SECRET_KEY.into());
    bindings.insert("STUDIO_PAT".into(), "eyJh.eyJi.c2ln".into());
    bindings.insert("WEAK".into(), "secret".into());
    paths(&bindings)
        .into_iter()
        .map(|path| path.replace("EDGEWARD_SITE_APP.", ""))
        .collect()
}

#[test]
fn every_mistake_in_the_settings_is_told_with_its_path() {
    let good = r#"{"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": []}"#;
    assert!(errors(good).is_empty());
    assert!(errors(r#"{"mode": "pat", "secret": "STUDIO_PAT", "admins": ["staff"]}"#).is_empty());
    let all = ["mode", "secret", "admins"].map(|name| format!("label_studio.{name}"));
    assert_eq!(errors("{}"), all);
    for (settings, path) in [
        (
            r#"{"mode": "sso", "secret": "STUDIO_KEY", "admins": []}"#,
            "mode",
        ),
        (
            r#"{"mode": "mint", "secret": "NONE", "admin_user": 1, "admins": []}"#,
            "secret",
        ),
        (
            r#"{"mode": "mint", "secret": "WEAK", "admin_user": 1, "admins": []}"#,
            "secret",
        ),
        (
            r#"{"mode": "pat", "secret": "STUDIO_KEY", "admins": []}"#,
            "secret",
        ),
        (
            r#"{"mode": "mint", "secret": "EDGEWARD_KEY_SECRET_1", "admin_user": 1, "admins": []}"#,
            "secret",
        ),
        (
            r#"{"mode": "mint", "secret": "STUDIO_KEY", "admins": []}"#,
            "admin_user",
        ),
        (
            r#"{"mode": "pat", "secret": "STUDIO_PAT", "admin_user": 1, "admins": []}"#,
            "admin_user",
        ),
        (
            r#"{"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": [" a"]}"#,
            "admins",
        ),
        (
            r#"{"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": [], "x": 1}"#,
            "x",
        ),
        (
            r#"{"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": [], "organization": "1"}"#,
            "organization",
        ),
    ] {
        assert_eq!(
            errors(settings),
            [format!("label_studio.{path}")],
            "{settings}"
        );
    }
}

#[test]
fn such_a_site_admits_no_anonymous_caller_and_uses_the_header_for_nothing_else() {
    let mut bindings = bindings(
        r#"{"unauthenticated": "pass",
            "upstream_credential": {"header": "authorization", "secret": "STUDIO_KEY"},
            "label_studio": {"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": []}}"#,
    );
    bindings.insert("STUDIO_KEY".into(), SECRET_KEY.into());
    assert_eq!(
        paths(&bindings),
        [
            "EDGEWARD_SITE_APP.unauthenticated",
            "EDGEWARD_SITE_APP.upstream_credential"
        ]
    );
}

#[test]
fn no_rule_of_such_a_site_admits_an_anonymous_caller() {
    for (rule, fine) in [
        (r#""public": true"#, false),
        (r#""anonymous_ok": true"#, false),
        (r#""require": {"role": "a"}"#, true),
    ] {
        let mut bindings = bindings(&format!(
            r#"{{"rules": [{{"prefix": "/a", {rule}}}],
                "label_studio": {{"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": []}}}}"#,
        ));
        bindings.insert("STUDIO_KEY".into(), SECRET_KEY.into());
        let found = paths(&bindings);
        assert_eq!(
            found.contains(&"EDGEWARD_SITE_APP.rules".to_owned()),
            !fine,
            "{rule}: {found:?}"
        );
    }
}

#[test]
fn such_a_site_has_no_tenants_whose_users_could_share_an_address() {
    let mut bindings = bindings(
        r#"{"tenants": {"by": "claim"},
            "label_studio": {"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": []}}"#,
    );
    bindings.insert("STUDIO_KEY".into(), SECRET_KEY.into());
    assert!(paths(&bindings).contains(&"EDGEWARD_SITE_APP.tenants".to_owned()));
}

#[test]
fn sec_63_the_settings_show_no_secret() {
    let mut bindings = bindings(
        r#"{"label_studio": {"mode": "mint", "secret": "STUDIO_KEY", "admin_user": 1, "admins": []}}"#,
    );
    bindings.insert("STUDIO_KEY".into(), SECRET_KEY.into());
    let config = crate::config::parse(&bindings).unwrap();
    assert!(!format!("{config:?}").contains(SECRET_KEY));
}

#[test]
fn admins_are_named_by_role_and_by_the_two_rights_of_a_user() {
    let with = |admins: &str| LabelStudio {
        mode: Mode::Pat {
            admin: String::new(),
        },
        organization: 1,
        admins: serde_json::from_str(admins).unwrap(),
    };
    let mut user = User::new(
        crate::model::user::UserId::parse("usr_0123456789abcdefghij-_").unwrap(),
        crate::model::user::Email::parse("a@b.c").unwrap(),
        Timestamp::from_seconds(0),
    );
    let all = r#"["boss", "staff", "superuser"]"#;
    assert!(!with(all).is_admin(&user));
    user.roles = vec![Role::parse("boss").unwrap()];
    assert!(with(all).is_admin(&user) && !with(r#"["staff"]"#).is_admin(&user));
    user.roles.clear();
    user.staff = true;
    assert!(with(all).is_admin(&user) && !with(r#"["superuser"]"#).is_admin(&user));
    user.superuser = true;
    assert!(with(r#"["superuser"]"#).is_admin(&user) && !with("[]").is_admin(&user));
}

#[test]
fn a_file_is_versioned_by_its_query_or_by_a_hash_in_its_name() {
    for (path, query) in [
        ("/react-app/main.js", "v=34dc0a1"),
        ("/static/admin/css/base.96c479cedf7a.css", ""),
        ("/react-app/vendor-0a1b2c3d.js", ""),
    ] {
        assert!(is_versioned(path, query), "{path}");
    }
    for (path, query) in [
        ("/static/images/logo.svg", ""),
        ("/static/js/jquery.min.js", "x=1&av=1"),
        ("/static/deadbeef00/a.js", ""),
    ] {
        assert!(!is_versioned(path, query), "{path}");
    }
}

#[test]
fn only_some_responses_may_mean_that_the_user_was_not_accepted() {
    assert!(may_refuse_user(401, "") && may_refuse_user(500, ""));
    assert!(may_refuse_user(302, "/user/login/?next=/projects/"));
    assert!(!may_refuse_user(302, "/projects/"));
    assert!(!may_refuse_user(404, "") && !may_refuse_user(403, "") && !may_refuse_user(502, ""));
}

#[test]
fn other_sites_keep_these_headers_between_client_and_origin() {
    let plain = site("{}");
    for name in RESERVED {
        assert!(!plain.reserved.contains(name), "{name}");
    }
}
