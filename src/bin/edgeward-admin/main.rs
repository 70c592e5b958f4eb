//! The admin command: API tokens and secrets from a shell, through wrangler. It runs the core's own
//! functions over a store that calls `wrangler kv`, so every format is implemented once. It does not
//! change users: a shell sees KV a minute late, so only the Worker changes their records.

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
    after_help = "Commands that call the admin API. EDGEWARD_URL and EDGEWARD_API_TOKEN name the deployment, or --profile <name>;
the default is the default profile, or that of `npm run dev`. Each command has its own --help:
  profile  Deployments and their API tokens: add, list, use, remove
  token    API tokens: create, list, show, change, revoke, delete
  user     Users: create, list, show, update, enable, disable, logout, delete, import, export, …
  service  The services of the SSO gateway: list, show, create, change, rotate, delete, events, resend, discard
  key      The keys that sign assertions: list, rotate
  audit    The audit log: list, export, verify
  backup   Users, services and API tokens in a file: create, restore
  import-django-sso  Move users, passwords and services here from a gateway of django-sso

Commands that tell why:
  explain  What the rules decide about a request, and why
  try      How a credential is verified, check by check; what is understood of an issuer's keys

--remote and --env are for the commands that use wrangler: `secret`, and `token` for the first API token; and for `explain`."
)]
struct Cli {
    #[command(flatten)]
    deployment: Deployment,
    #[command(subcommand)]
    command: Command,
}

/// Which deployment to work on.
#[derive(Args, Clone)]
struct Deployment {
    /// Work on the deployment at Cloudflare [default: the local one of `npm run dev`]
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
    /// The secrets that sign and encrypt
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Print the JSON schema of wrangler.toml with Edgeward's settings
    Schema,
    /// Print what the documents must cover: codes, endpoints, keys, headers, bindings
    #[command(hide = true)]
    Facts,
    /// Check configurations from standard input (for `npm run check-config`)
    #[command(hide = true)]
    CheckConfig,
    /// Check users from standard input (for `npm run admin -- user import`)
    #[command(hide = true)]
    CheckUsers,
    /// Check hashes of passwords from standard input (for `npm run admin -- import-django-sso`)
    #[command(hide = true)]
    CheckHashes,
    /// Explain requests from standard input (for `npm run admin -- explain`)
    #[command(hide = true)]
    Explain,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Create an API token and show it once
    Create(CreateToken),
    /// List the API tokens
    List,
    /// Revoke an API token for good
    Revoke {
        /// The token's id, as `token list` shows it
        id: String,
        /// Also revoke the API tokens that it has created, directly or through others
        #[arg(long)]
        with_children: bool,
    },
}

#[derive(Args)]
struct CreateToken {
    /// What the token is for
    #[arg(long, value_parser = name)]
    name: Name,
    /// What it may do: token:issue, users:read, users:write, tokens:write, audit:read, metrics:read, admin (repeatable)
    #[arg(long = "scope", required_unless_present = "acts_as")]
    scopes: Vec<Scope>,
    /// The id of the user as whom it acts on sites that accept `x-api-key`
    #[arg(long, value_parser = user_id)]
    acts_as: Option<UserId>,
    /// Its lifetime in seconds [default: until it is revoked]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=315_360_000))]
    expires_in: Option<u32>,
    /// It may issue SSO tokens only for addresses in this domain (repeatable)
    #[arg(long = "email-domain")]
    email_domains: Vec<String>,
    /// It may issue SSO tokens only for users whose roles are all among these (repeatable)
    #[arg(long = "role", value_parser = role)]
    roles: Vec<Role>,
    /// Print the token and its record; store nothing
    #[arg(long)]
    print_record: bool,
}

#[derive(Subcommand)]
enum SecretCommand {
    /// Add a new secret that signs from now on; the previous one still verifies
    Rotate {
        /// Which secret
        purpose: SecretPurpose,
    },
    /// Remove a secret that no longer signs; whatever it signed becomes invalid
    Retire {
        /// Which secret
        purpose: SecretPurpose,
        /// The number at the end of its name
        number: u32,
        /// Do not ask, although something that is still valid may end
        #[arg(long)]
        yes: bool,
    },
    /// List the numbers of the secrets
    List,
}

/// What a secret is used for.
#[derive(Clone, Copy, ValueEnum)]
enum SecretPurpose {
    /// Signs sessions
    Session,
    /// Signs SSO tokens
    Token,
    /// Encrypts private keys
    Key,
}

impl SecretPurpose {
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
        .ok_or("not a valid name: it is empty, longer than 200 bytes, or has control characters")
}

fn role(text: &str) -> Result<Role, &'static str> {
    Role::parse(text)
        .ok_or("not a valid role: spaces, commas, semicolons, bars and quotes are not allowed")
}

fn user_id(text: &str) -> Result<UserId, String> {
    UserId::parse(text).ok_or_else(|| "not a user's id; `user list` shows them".into())
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
