use super::*;

const SESSION: &str = "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu";
const TOKEN: &str = "Zx81mQw0eRt5yUi7oPa3sDf6gHj9kLzX";
const KEY: &str = "Vb4nMq2wEr8tYu1iOp5aSd7fGh0jKl3z";

/// Bindings with good secrets and one site, `settings` (a JSON object) laid over the defaults.
pub(crate) fn bindings(settings: &str) -> Bindings {
    let mut site = serde_json::json!({
        "hosts": ["site.example"],
        "upstream": "https://origin.example",
        "sources": ["session", "sso_cookie", "query", "bearer"],
        "unauthenticated": "deny",
        "sso_cookie": {"name": "ls_auth_token"},
        "query": {"single_use": true, "user_switch": "confirm"},
    });
    let over: serde_json::Map<String, serde_json::Value> = serde_json::from_str(settings).unwrap();
    site.as_object_mut().unwrap().extend(over);
    Bindings::from([
        ("EDGEWARD_SESSION_SECRET_1".into(), SESSION.into()),
        ("EDGEWARD_TOKEN_SECRET_1".into(), TOKEN.into()),
        ("EDGEWARD_KEY_SECRET_1".into(), KEY.into()),
        ("EDGEWARD_SITE_APP".into(), site.to_string()),
    ])
}

/// A site with `settings` laid over the defaults.
pub(crate) fn site(settings: &str) -> Rc<Site> {
    Config::parse(&bindings(settings))
        .unwrap()
        .site("site.example", "https")
        .unwrap()
}
