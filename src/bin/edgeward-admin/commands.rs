//! The commands.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use edgeward::admin::api_tokens::{self, NewApiToken};
use edgeward::answer::denial::Denial;
use edgeward::model::api_token::{ApiToken, ApiTokenId, IssueFor};
use edgeward::platform::port::Platform;
use edgeward::platform::time::Seconds;
use edgeward::store::api_tokens::ApiTokens;
use serde_json::{Value, json};

use crate::wrangler::{ShellKv, SystemEntropy, Wrangler, now};
use crate::{Cli, Command, CreateToken, TokenCommand, configuration, facts, secrets, users};

/// Runs the command that `cli` names.
pub fn run(cli: Cli) -> Result<(), String> {
    let json = cli.deployment.json;
    let wrangler = || Wrangler::new(cli.deployment.remote, cli.deployment.env.as_deref());
    match cli.command {
        Command::Token(TokenCommand::Create(create)) if create.print_record => print_record(create),
        Command::Secret(command) => secrets::run(&wrangler()?, &command),
        Command::Token(command) => {
            with_store(&wrangler()?, |platform| token(platform, command, json))
        }
        Command::Schema => configuration::print_schema(),
        Command::Facts => {
            facts::print();
            Ok(())
        }
        Command::CheckConfig => configuration::check(),
        Command::Explain => configuration::explain(),
        Command::CheckUsers => users::check(),
        Command::CheckHashes => users::check_hashes(),
    }
}

/// Runs `work`, writes its changes, and only then prints its message.
fn with_store(
    wrangler: &Wrangler,
    work: impl FnOnce(&Platform) -> Result<String, Problem>,
) -> Result<(), String> {
    let (platform, kv) = wrangler.platform()?;
    let said = work(&platform).map_err(|problem| problem.text(&kv))?;
    kv.flush()?;
    println!("{said}");
    Ok(())
}

enum Problem {
    Denied(Denial),
    Other(String),
}

impl Problem {
    fn text(self, kv: &ShellKv) -> String {
        match self {
            Self::Other(text) => text,
            Self::Denied(denial) => kv.last_error().unwrap_or_else(|| denial.reason()),
        }
    }
}

impl<E: Into<Denial>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Denied(error.into())
    }
}

/// Polls a future once: over ports that never wait, it is ready at once.
fn ready<T>(future: impl Future<Output = Result<T, impl Into<Problem>>>) -> Result<T, Problem> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => result.map_err(Into::into),
        Poll::Pending => Err(Problem::Other("the store did not answer".into())),
    }
}

fn new_token(create: CreateToken) -> NewApiToken {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    NewApiToken {
        name: create.name,
        scopes: create.scopes,
        issue_for: IssueFor {
            email_domains: some(create.email_domains),
            roles: (!create.roles.is_empty()).then_some(create.roles),
        },
        expires_in: create.expires_in.map(Seconds),
        acts_as: create.acts_as,
        created_by: "shell".into(),
    }
}

/// For callers that write the record themselves: a test, or a script with its own KV client.
fn print_record(create: CreateToken) -> Result<(), String> {
    let (plain, token) = api_tokens::make(&SystemEntropy, new_token(create), now());
    let (key, value) = ApiTokens::record(&token).map_err(|fault| fault.to_string())?;
    println!(
        "{}",
        json!({ "token": plain.reveal(), "id": token.id.as_str(), "key": key, "value": value })
    );
    Ok(())
}

fn token(platform: &Platform, command: TokenCommand, json: bool) -> Result<String, Problem> {
    let store = ApiTokens(&*platform.kv);
    match command {
        TokenCommand::Create(create) => {
            let (plain, token) = api_tokens::make(&*platform.entropy, new_token(create), now());
            ready(store.put_new(&token))?;
            Ok(if json {
                json!({ "token": plain.reveal(), "id": token.id.as_str() }).to_string()
            } else {
                format!(
                    "{}\n\nThis is the API token {}. It is not shown again.",
                    plain.reveal(),
                    token.id.as_str()
                )
            })
        }
        TokenCommand::List => {
            let page = ready(store.page(None, u32::MAX))?;
            let mut views = Vec::new();
            for token in &page.records {
                views.push(api_tokens::view(token, ready(store.last_used(&token.id))?));
            }
            Ok(listed(
                &views,
                json,
                &["id", "name", "scopes", "active", "last_used_at"],
            ))
        }
        TokenCommand::Revoke { id, with_children } => {
            let id = ApiTokenId::parse(&id)
                .ok_or_else(|| Problem::Other("not an API token's id".into()))?;
            let token = ready(store.find(&id))?.ok_or(Denial::NotFound)?;
            revoke(&store, &token, with_children, json)
        }
    }
}

/// Writes only the revocation key, which overrides every record. A record that was read here must not
/// be written back, since it may be a minute old.
fn revoke(
    store: &ApiTokens<'_>,
    token: &ApiToken,
    with_children: bool,
    json: bool,
) -> Result<String, Problem> {
    let all = ready(store.page(None, u32::MAX))?.records;
    let children = api_tokens::family(&all, &token.id, now());
    ready(store.revoke(&token.id, now()))?;
    if with_children {
        for child in &children {
            ready(store.revoke(&child.id, now()))?;
        }
    }
    let ids: Vec<&str> = children.iter().map(|token| token.id.as_str()).collect();
    if json {
        let kind = if with_children {
            "children_revoked"
        } else {
            "children"
        };
        return Ok(json!({ "id": token.id, kind: ids }).to_string());
    }
    let rest = match (ids.as_slice(), with_children) {
        ([], _) => "It has created no API tokens that still work.".to_owned(),
        (ids, true) => format!("So are the API tokens that it created: {}.", ids.join(", ")),
        (ids, false) => format!(
            "API tokens that it created still work: {}. To revoke them as well, add --with-children.",
            ids.join(", ")
        ),
    };
    Ok(format!(
        "API token {} ({}) is revoked. It stops working everywhere within 60 seconds. {rest}",
        token.id.as_str(),
        token.name.as_str()
    ))
}

fn listed(views: &[Value], json: bool, columns: &[&str]) -> String {
    if json {
        return json!(views).to_string();
    }
    let cell = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(","),
        other => other.to_string(),
    };
    let mut rows = vec![
        columns
            .iter()
            .map(|column| (*column).to_owned())
            .collect::<Vec<_>>(),
    ];
    rows.extend(views.iter().map(|view| {
        columns
            .iter()
            .map(|column| cell(view.get(column).unwrap_or(&Value::Null)))
            .collect()
    }));
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
