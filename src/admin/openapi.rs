//! The admin API as `OpenAPI` 3.1: paths, parameters and scopes are those of the tables that the calls go by, and the shapes of
//! bodies and answers stand here. The tests of the built Worker check each answer, and each body that was accepted, against it.

use serde_json::{Map, Value, json};

use crate::admin::{DEFAULT_PAGE, MAX_PAGE, act_of, name_of, parameters};
use crate::ask::route::{AdminEndpoint, Endpoint, endpoint};
use crate::model::api_token::Scope;
use crate::model::audit::Action;

/// What a call answers if it does what it should.
enum Gives {
    /// A status and the name of a schema.
    Json(u16, &'static str),
    /// Nothing, with 204.
    Nothing,
    /// Lines of JSON, and the header with the cursor of the next ones.
    Lines(&'static str),
    /// Prometheus text.
    Text,
    /// With 200 or 503.
    Health,
}

/// A call: its method, the scope of one that only reads, the schema of its body, and what it gives.
struct Call {
    path: &'static str,
    method: &'static str,
    /// For calls that [`act_of`] does not know.
    scope: Option<Scope>,
    summary: &'static str,
    body: Option<&'static str>,
    gives: Gives,
}

const fn call(
    (method, path): (&'static str, &'static str),
    scope: Option<Scope>,
    summary: &'static str,
    body: Option<&'static str>,
    gives: Gives,
) -> Call {
    Call {
        path,
        method,
        scope,
        summary,
        body,
        gives,
    }
}

/// All calls.
#[rustfmt::skip]
const CALLS: &[Call] = &[
    call(("POST", "/api/sso/token"), Some(Scope::TokenIssue), "Issue an SSO token", Some("TokenRequest"), Gives::Json(200, "SsoToken")),
    call(("GET", "/api/sso/users"), Some(Scope::UsersRead), "List users, look one up, or search", None, Gives::Json(200, "Users")),
    call(("POST", "/api/sso/users"), None, "Create a user", Some("NewUser"), Gives::Json(201, "MadeUser")),
    call(("POST", "/api/sso/users/bulk"), None, "Synchronise up to 100 users", Some("Bulk"), Gives::Json(200, "BulkResults")),
    call(("POST", "/api/sso/users/reindex"), None, "Run one step of rebuilding the search index", Some("Reindex"), Gives::Json(200, "Reindexed")),
    call(("GET", "/api/sso/users/{id}"), Some(Scope::UsersRead), "Read a user", None, Gives::Json(200, "User")),
    call(("PATCH", "/api/sso/users/{id}"), None, "Change a user", Some("UserChange"), Gives::Json(200, "User")),
    call(("DELETE", "/api/sso/users/{id}"), None, "Delete a user", None, Gives::Nothing),
    call(("POST", "/api/sso/users/{id}/logout"), None, "End all sessions of a user", None, Gives::Nothing),
    call(("GET", "/api/sso/users/{id}/password"), Some(Scope::Admin), "Whether a user has a password", None, Gives::Json(200, "PasswordState")),
    call(("PUT", "/api/sso/users/{id}/password"), None, "Set the password of a user", Some("NewPassword"), Gives::Nothing),
    call(("DELETE", "/api/sso/users/{id}/password"), None, "Remove the password of a user", None, Gives::Nothing),
    call(("POST", "/api/sso/users/{id}/password-link"), None, "Make a link to set a password", Some("LinkRequest"), Gives::Json(200, "PasswordLink")),
    call(("GET", "/api/sso/users/{id}/sessions"), Some(Scope::UsersRead), "List the sessions of a user", None, Gives::Json(200, "Sessions")),
    call(("DELETE", "/api/sso/users/{id}/sessions"), None, "End a session of a user", None, Gives::Nothing),
    call(("GET", "/api/sso/tokens"), Some(Scope::TokensWrite), "List API tokens", None, Gives::Json(200, "ApiTokens")),
    call(("POST", "/api/sso/tokens"), None, "Create an API token", Some("NewApiToken"), Gives::Json(201, "MadeApiToken")),
    call(("GET", "/api/sso/tokens/{id}"), Some(Scope::TokensWrite), "Read an API token", None, Gives::Json(200, "ApiToken")),
    call(("PATCH", "/api/sso/tokens/{id}"), None, "Change an API token", Some("ApiTokenChange"), Gives::Json(200, "ApiToken")),
    call(("DELETE", "/api/sso/tokens/{id}"), None, "Revoke and delete an API token", None, Gives::Nothing),
    call(("POST", "/api/sso/tokens/{id}/revoke"), None, "Revoke an API token", None, Gives::Json(200, "RevokedApiToken")),
    call(("GET", "/api/sso/keys"), Some(Scope::Admin), "List the keys that sign assertions", None, Gives::Json(200, "SigningKeys")),
    call(("POST", "/api/sso/keys/rotate"), None, "Add a key for each algorithm", None, Gives::Json(200, "SigningKeys")),
    call(("GET", "/api/sso/services"), Some(Scope::Admin), "List the services of the gateway", None, Gives::Json(200, "Services")),
    call(("POST", "/api/sso/services"), None, "Create a service", Some("NewService"), Gives::Json(201, "MadeService")),
    call(("GET", "/api/sso/services/{id}"), Some(Scope::Admin), "Read a service, with the state of its events", None, Gives::Json(200, "ServiceWithEvents")),
    call(("PATCH", "/api/sso/services/{id}"), None, "Change a service", Some("ServiceChange"), Gives::Json(200, "Service")),
    call(("DELETE", "/api/sso/services/{id}"), None, "Delete a service", None, Gives::Nothing),
    call(("POST", "/api/sso/services/{id}/rotate"), None, "Make a new token or webhook secret", Some("Rotation"), Gives::Json(200, "Rotated")),
    call(("GET", "/api/sso/services/{id}/events"), Some(Scope::Admin), "List events that wait or were given up", None, Gives::Json(200, "Events")),
    call(("POST", "/api/sso/services/{id}/events/resend"), None, "Send events again", Some("Resend"), Gives::Json(200, "Count")),
    call(("POST", "/api/sso/services/{id}/events/discard"), None, "Delete events", Some("Discard"), Gives::Json(200, "Count")),
    call(("GET", "/api/sso/audit"), Some(Scope::AuditRead), "List rows of the audit log", None, Gives::Json(200, "AuditRows")),
    call(("GET", "/api/sso/audit/export"), Some(Scope::AuditRead), "Export rows of the audit log, oldest first", None, Gives::Lines("x-audit-cursor")),
    call(("GET", "/api/sso/audit/verify"), Some(Scope::AuditRead), "Check the chains of the audit log", None, Gives::Json(200, "Verdict")),
    call(("GET", "/api/sso/backup"), Some(Scope::Admin), "Export users, services and API tokens", None, Gives::Lines("x-backup-cursor")),
    call(("POST", "/api/sso/backup/restore"), None, "Restore up to 50 records", Some("Restore"), Gives::Json(200, "Restored")),
    call(("POST", "/api/sso/explain"), Some(Scope::Admin), "Explain how a request would be decided", Some("Explain"), Gives::Json(200, "Explanation")),
    call(("GET", "/api/sso/metrics"), Some(Scope::MetricsRead), "Counters of all isolates", None, Gives::Text),
    call(("GET", "/api/sso/health"), Some(Scope::MetricsRead), "Check everything that requests depend on", None, Gives::Health),
];

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for call in CALLS {
        let Some(Value::Object(path)) = Some(
            paths
                .entry(call.path)
                .or_insert_with(|| Value::Object(Map::new())),
        ) else {
            continue;
        };
        if call.path.contains("{id}") {
            path.insert("parameters".to_owned(), json!([id()]));
        }
        path.insert(call.method.to_ascii_lowercase(), operation(call));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Edgeward: the admin API",
            "summary": "Users, API tokens, services, signing keys and the audit log of a deployment",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{
            "url": "https://{host}",
            "description": "any site of the deployment; with `endpoints` set, its path stands in the place of /api/sso",
            "variables": { "host": { "default": "app.example.com" } },
        }],
        "security": [{ "apiToken": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "apiToken": {
                "type": "http",
                "scheme": "bearer",
                "description": "an API token, as `Authorization: Bearer ewt_…` or `Authorization: Token ewt_…`",
            } },
            "responses": {
                "Error": {
                    "description": "a stable `code` for programs, and a text for people",
                    "headers": { "x-request-id": { "schema": { "type": "string" } } },
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
                },
                "TokenError": {
                    "description": "a text, which existing clients of this call rely on",
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/TokenError" } } },
                },
            },
            "schemas": schemas(),
        },
    })
}

fn operation(call: &Call) -> Value {
    let path = call.path.replace("{id}", "x");
    let admin = match endpoint("/api/sso", &path) {
        Some(Endpoint::Admin(admin)) => Some(admin),
        // Found by its query.
        Some(Endpoint::Health) => Some(AdminEndpoint::Health),
        _ => None,
    };
    let scope = admin
        .as_ref()
        .and_then(|admin| act_of(admin, call.method))
        .map(|(_, scope)| scope)
        .or(call.scope);
    let name = admin.as_ref().map_or("SSO token", name_of);
    let mut operation = json!({
        "operationId": operation_id(call),
        "summary": call.summary,
        "description": format!("Scope `{}`.", scope.map_or("", Scope::name)),
        "x-scope": scope.map(Scope::name),
        "tags": [name],
        "parameters": admin.as_ref().map_or_else(|| json!([]), |admin| query(admin, call.method)),
        "responses": responses(call),
    });
    if let (Some(body), Some(members)) = (call.body, operation.as_object_mut()) {
        let schema = json!({ "$ref": format!("#/components/schemas/{body}") });
        members.insert(
            "requestBody".to_owned(),
            json!({ "required": !matches!(body, "LinkRequest" | "Reindex"), "content": { "application/json": { "schema": schema } } }),
        );
    }
    operation
}

/// `get_users_id_sessions`
fn operation_id(call: &Call) -> String {
    let path = call.path.trim_start_matches("/api/sso/");
    let words = path.replace(['/', '-'], "_").replace(['{', '}'], "");
    [&call.method.to_ascii_lowercase(), "_", &words].concat()
}

fn responses(call: &Call) -> Value {
    let error = match call.path {
        "/api/sso/token" => json!({ "$ref": "#/components/responses/TokenError" }),
        _ => json!({ "$ref": "#/components/responses/Error" }),
    };
    let mut all = Map::new();
    let json = |schema: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        json!({ "description": "done", "content": { "application/json": { "schema": schema } } })
    };
    let (status, answer) = match &call.gives {
        Gives::Json(status, schema) => (status.to_string(), json(schema)),
        Gives::Health => {
            all.insert("503".to_owned(), json("DeepHealth"));
            ("200".to_owned(), json("DeepHealth"))
        }
        Gives::Nothing => ("204".to_owned(), json!({ "description": "done" })),
        Gives::Lines(cursor) => (
            "200".to_owned(),
            json!({
                "description": "lines of JSON",
                "headers": { *cursor: { "description": "the cursor of the next lines; missing at the end", "schema": { "type": "string" } } },
                "content": { "application/x-ndjson": { "schema": { "type": "string" } } },
            }),
        ),
        Gives::Text => (
            "200".to_owned(),
            json!({ "description": "Prometheus text, 0.0.4", "content": { "text/plain": { "schema": { "type": "string" } } } }),
        ),
    };
    all.insert(status, answer);
    all.insert("default".to_owned(), error);
    Value::Object(all)
}

fn query(endpoint: &AdminEndpoint, method: &str) -> Value {
    let all = parameters(endpoint, method).iter().map(|name| {
        let schema = match *name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE }),
            "from" | "until" => json!({ "type": "integer", "minimum": 0, "description": "in seconds since 1970" }),
            "order" => json!({ "enum": ["newest", "oldest"], "default": "newest" }),
            "state" => json!({ "enum": ["waiting", "dead"], "default": "waiting" }),
            "with_children" => json!({ "type": "boolean", "default": false }),
            "action" => actions(),
            _ => json!({ "type": "string" }),
        };
        let is_required = matches!(*name, "session" | "deep");
        json!({ "name": name, "in": "query", "required": is_required, "schema": schema })
    });
    Value::Array(all.collect())
}

fn actions() -> Value {
    let names = Action::ALL.iter().map(|action| action.name());
    json!({ "enum": names.collect::<Vec<_>>() })
}

/// The schemas of `openapi-schemas.json`, with the names that the code has.
fn schemas() -> Value {
    let mut all: Value =
        serde_json::from_str(include_str!("openapi-schemas.json")).unwrap_or_default();
    let scopes = Scope::ALL.iter().map(|scope| scope.name());
    let scopes = json!({ "enum": scopes.collect::<Vec<_>>() });
    for (pointer, value) in [
        ("/Scope", scopes),
        ("/AuditRow/properties/action", actions()),
    ] {
        if let Some(place) = all.pointer_mut(pointer) {
            *place = value;
        }
    }
    all
}

/// The parameter of paths that name a record.
fn id() -> Value {
    json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ask::route::PATHS;

    const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

    #[test]
    fn every_act_and_every_path_of_the_admin_api_is_a_call() {
        let known: BTreeSet<_> = CALLS.iter().map(|call| (call.path, call.method)).collect();
        assert_eq!(known.len(), CALLS.len(), "a call stands here twice");
        for path in PATHS {
            let found = endpoint("/api/sso", &path.replace("{id}", "x"));
            let Some(Endpoint::Admin(admin)) = found else {
                continue;
            };
            assert!(CALLS.iter().any(|call| call.path == path), "{path}");
            for method in METHODS {
                let is_act = act_of(&admin, method).is_some();
                let reads = !parameters(&admin, method).is_empty();
                let is_known = known.contains(&(path, method));
                assert!(is_known || !(is_act || reads), "{method} {path}");
            }
        }
        for call in CALLS {
            let document = operation(call);
            assert!(document["x-scope"].is_string(), "{}", call.path);
        }
    }

    #[test]
    fn the_file_in_docs_is_what_the_code_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let file = std::fs::read_to_string(file).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        assert!(
            file == document(),
            "write it anew: npm run --silent admin -- openapi > docs/openapi.json"
        );
    }

    #[test]
    fn every_schema_is_used_and_every_reference_leads_to_one() {
        let text = document().to_string();
        let schemas = schemas();
        let names: BTreeSet<_> = schemas.as_object().unwrap().keys().cloned().collect();
        let marks = text.split("\"#/components/schemas/").skip(1);
        let used: BTreeSet<_> = marks
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(used, names);
    }
}
