//! The admin command: API tokens and secrets from a shell, through wrangler. It uses the core's own
//! functions over a store that calls `wrangler kv`, so every format exists once. Users are not its
//! business: a shell sees the store a minute late, so the Worker alone changes their records.

mod commands;
mod configuration;
mod facts;
mod secrets;
mod users;
mod wrangler;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use edgeward::model::api_token::Scope;
use edgeward::model::user::{Name, Role, UserId};

#[derive(Parser)]
#[command(
    name = "npm run admin --",
    bin_name = "npm run admin --",
    about = "API tokens, secrets, users and signing keys of an Edgeward deployment",
    disable_help_subcommand = true,
    after_help = "Commands that call the admin API of the deployment that EDGEWARD_URL and EDGEWARD_API_TOKEN name, by default
that of `npm run dev`; each has a --help of its own:
  user     Users: create, list, show, enable, disable, logout, delete, import
  key      The keys that sign assertions: list, rotate

Commands on the rules:
  explain  What the rules say of a request, and why

--remote and --env are for the commands over wrangler: `token` and `secret` (and `explain` knows them)."
)]
struct Cli {
    #[command(flatten)]
    deployment: Deployment,
    #[command(subcommand)]
    command: Command,
}

/// Where the deployment is.
#[derive(Args, Clone)]
struct Deployment {
    /// Work on the deployment at Cloudflare; without it, on the local one of `npm run dev`
    #[arg(long, global = true)]
    remote: bool,
    /// The wrangler environment [default: `local`, or the top level with --remote]
    #[arg(long, global = true, value_name = "NAME")]
    env: Option<String>,
    /// Print JSON for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// The symmetric secrets
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Print the JSON schema of wrangler.toml with Edgeward's settings
    Schema,
    /// Print what the documents have to name: codes, endpoints, keys, headers, bindings
    #[command(hide = true)]
    Facts,
    /// Check configurations that come in on standard input (`npm run check-config` hands them over)
    #[command(hide = true)]
    CheckConfig,
    /// Check users that come in on standard input (`npm run admin -- user import` hands them over)
    #[command(hide = true)]
    CheckUsers,
    /// Answer questions that come in on standard input (`npm run admin -- explain` hands them over)
    #[command(hide = true)]
    Explain,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make an API token; it is shown once
    Create(CreateToken),
    /// List the API tokens
    List,
    /// Revoke an API token for good
    Revoke {
        /// The token's id, as `token list` shows it
        id: String,
        /// Revoke the API tokens that it has made as well, and those that these have made
        #[arg(long)]
        with_children: bool,
    },
}

#[derive(Args)]
struct CreateToken {
    /// What the token is for
    #[arg(long, value_parser = name)]
    name: Name,
    /// What it may do: token:issue, users:read, users:write, tokens:write, admin (repeatable)
    #[arg(long = "scope", required_unless_present = "acts_as")]
    scopes: Vec<Scope>,
    /// The id of a user as whom it acts at sites that take `x-api-key`
    #[arg(long, value_parser = user_id)]
    acts_as: Option<UserId>,
    /// How many seconds it lives [default: until it is revoked]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=315_360_000))]
    expires_in: Option<u32>,
    /// It may ask for SSO tokens only for addresses in this domain (repeatable)
    #[arg(long = "email-domain")]
    email_domains: Vec<String>,
    /// It may ask for SSO tokens only for users with no other role than these (repeatable)
    #[arg(long = "role", value_parser = role)]
    roles: Vec<Role>,
    /// Print the token and its record, and store nothing
    #[arg(long)]
    print_record: bool,
}

#[derive(Subcommand)]
enum SecretCommand {
    /// Add a new secret that signs from now on; the one before it goes on verifying
    Rotate {
        /// Which secret
        purpose: Purpose,
    },
    /// Take away a secret that no longer signs: what it signed ends
    Retire {
        /// Which secret
        purpose: Purpose,
        /// Its number
        number: u32,
    },
    /// List the numbers of the secrets
    List,
}

/// What a secret is for.
#[derive(Clone, Copy, ValueEnum)]
enum Purpose {
    /// Signs sessions
    Session,
    /// Signs SSO tokens
    Token,
    /// Seals private keys
    Key,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Session, Self::Token, Self::Key];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "EDGEWARD_SESSION_SECRET_",
            Self::Token => "EDGEWARD_TOKEN_SECRET_",
            Self::Key => "EDGEWARD_KEY_SECRET_",
        }
    }
}

fn name(text: &str) -> Result<Name, &'static str> {
    Name::parse(text)
        .filter(|name| !name.as_str().is_empty())
        .ok_or("not a name: empty, over 200 bytes, or with control characters")
}

fn role(text: &str) -> Result<Role, &'static str> {
    Role::parse(text).ok_or("not a role: no spaces, commas, semicolons, bars or quotes")
}

fn user_id(text: &str) -> Result<UserId, String> {
    UserId::parse(text).ok_or_else(|| "is no id of a user; `user list` shows them".into())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
