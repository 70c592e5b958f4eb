//! What each command does.

use std::future::Future;
use std::path::Path;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use edgeward::admin::api_tokens::{self, NewApiToken};
use edgeward::admin::users::{self, Ensured, Profile};
use edgeward::denial::Denial;
use edgeward::port::Platform;
use edgeward::store::api_tokens::ApiTokens;
use edgeward::store::users::Users;
use edgeward::time::Seconds;
use edgeward::token::api_token::{ApiTokenId, IssueFor};
use edgeward::user::{Email, User, UserId};

use crate::configuration;
use crate::wrangler::{ShellKv, SystemEntropy, Wrangler, now};
use crate::{Cli, Command, CreateToken, CreateUser, TokenCommand, UserCommand, secrets};

pub fn run(cli: Cli) -> Result<(), String> {
    let json = cli.place.json;
    let wrangler = || Wrangler::new(cli.place.remote, cli.place.env.as_deref());
    match cli.command {
        Command::Token(TokenCommand::Create(create)) if create.print_record => print_record(create),
        Command::Secret(command) => secrets::run(&wrangler()?, &command),
        Command::Token(command) => {
            with_store(&wrangler()?, |platform| token(platform, command, json))
        }
        Command::Schema => configuration::print_schema(),
        Command::CheckConfig => configuration::check(),
        Command::Explain => configuration::explain(),
        Command::User(command) => {
            with_store(&wrangler()?, |platform| user(platform, command, json))
        }
    }
}

/// Runs `work`, then writes what it changed, then prints what it says: nothing is called done
/// before it is.
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

/// A future over ports that never wait is ready at once.
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

/// For whoever writes the record by other means: a test, or a script with its own KV client.
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
            ready(store.put(&token))?;
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
        TokenCommand::Revoke { id } => {
            let id = ApiTokenId::parse(&id)
                .ok_or_else(|| Problem::Other("not an id of an API token".into()))?;
            let token = ready(api_tokens::revoke(platform, &id, now()))?;
            Ok(format!(
                "API token {} ({}) is revoked. It stops working everywhere within 60 seconds.",
                id.as_str(),
                token.name.as_str()
            ))
        }
    }
}

fn user(platform: &Platform, command: UserCommand, json: bool) -> Result<String, Problem> {
    let store = Users(&*platform.kv);
    let find = |who: &str| find(platform, who);
    let bound = "It holds everywhere within 90 seconds.";
    match command {
        UserCommand::Create(create) => {
            let (email, profile) = profile_of(create);
            profile.check_username(&email)?;
            let (user, ensured) = ready(users::ensure(platform, None, email, profile, now()))?;
            if ensured != Ensured::Made {
                return Err(Denial::UserExists.into());
            }
            Ok(if json {
                users::view(&user).to_string()
            } else {
                format!("User {} has the id {}.", user.email.as_str(), user.id)
            })
        }
        UserCommand::List => {
            let page = ready(store.page(None, u32::MAX))?;
            let views: Vec<Value> = page.records.iter().map(users::view).collect();
            Ok(listed(&views, json, &["id", "email", "active", "roles"]))
        }
        UserCommand::Show(who) => {
            let view = users::view(&find(&who.user)?);
            Ok(if json {
                view.to_string()
            } else {
                format!("{view:#}")
            })
        }
        UserCommand::Enable(who) => {
            let user = set_active(platform, find(&who.user)?, true)?;
            Ok(format!(
                "User {} may sign in again. {bound}",
                user.email.as_str()
            ))
        }
        UserCommand::Disable(who) => {
            let user = set_active(platform, find(&who.user)?, false)?;
            Ok(format!(
                "User {} is disabled and signed out. {bound}",
                user.email.as_str()
            ))
        }
        UserCommand::Logout(who) => {
            let user = ready(users::end_sessions(platform, find(&who.user)?, now()))?;
            Ok(format!(
                "All sessions of {} have ended. {bound}",
                user.email.as_str()
            ))
        }
        UserCommand::Delete(who) => {
            let user = find(&who.user)?;
            ready(users::delete(platform, &user))?;
            Ok(format!(
                "User {} is deleted and signed out. {bound}",
                user.email.as_str()
            ))
        }
        UserCommand::Import { file } => import(platform, &file),
    }
}

fn set_active(platform: &Platform, user: User, active: bool) -> Result<User, Problem> {
    let profile = Profile {
        active: Some(active),
        ..Profile::default()
    };
    ready(users::update(platform, user, profile, now()))
}

fn find(platform: &Platform, who: &str) -> Result<User, Problem> {
    let store = Users(&*platform.kv);
    let found = match (UserId::parse(who), Email::parse(who)) {
        (Some(id), _) => ready(store.find(&id))?,
        (None, Some(email)) => ready(store.find_by_email(None, &email))?,
        (None, None) => return Err(Problem::Other("neither an id nor an address".into())),
    };
    found.ok_or_else(|| Problem::Other(format!("there is no user {who}")))
}

fn profile_of(create: CreateUser) -> (Email, Profile) {
    let profile = Profile {
        username: create.username,
        first_name: create.first_name,
        last_name: create.last_name,
        staff: create.staff.then_some(true),
        superuser: create.superuser.then_some(true),
        roles: (!create.roles.is_empty()).then_some(create.roles),
        active: None,
    };
    (create.email, profile)
}

/// Makes every user of a file that is not there yet. All lines are read before any is written; one
/// that is wrong stops the import and names itself.
fn import(platform: &Platform, file: &Path) -> Result<String, Problem> {
    let rows = read_rows(file).map_err(Problem::Other)?;
    let mut wanted = Vec::new();
    let mut wrong = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        match read_row(row) {
            Ok(user) => wanted.push(user),
            Err(error) => wrong.push(format!("  entry {}: {error}", index + 1)),
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::Other(format!(
            "{} is not imported; nothing was changed:\n{}",
            file.display(),
            wrong.join("\n")
        )));
    }
    let total = wanted.len();
    let mut made = 0_usize;
    for (done, (email, profile)) in wanted.into_iter().enumerate() {
        if done > 0 && done % 500 == 0 {
            eprintln!("{done} of {total} …");
        }
        let (_, ensured) = ready(users::ensure(platform, None, email, profile, now()))?;
        made += usize::from(ensured == Ensured::Made);
    }
    Ok(format!(
        "{made} users made, {} were there already.",
        total - made
    ))
}

fn read_rows(file: &Path) -> Result<Vec<Value>, String> {
    let at = |error: String| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| at(error.to_string()))?;
    if file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
    {
        return serde_json::from_str(&text).map_err(|error| at(error.to_string()));
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    reader
        .deserialize::<std::collections::BTreeMap<String, String>>()
        .map(|row| {
            row.map(|row| json!(row))
                .map_err(|error| at(error.to_string()))
        })
        .collect()
}

fn read_row(mut row: Value) -> Result<(Email, Profile), String> {
    let members = row.as_object_mut().ok_or("is no object")?;
    let email = members.remove("email").unwrap_or_default();
    let email = email
        .as_str()
        .and_then(Email::parse)
        .ok_or("has no valid email")?;
    let profile = serde_json::from_value(row).map_err(|error| error.to_string())?;
    Ok((email, profile))
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
