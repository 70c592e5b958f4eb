//! The numbered secrets: at Cloudflare through `wrangler secret`, here in `.dev.vars`.

use std::io::IsTerminal as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::platform::port::Entropy as _;
use edgeward::platform::time::Seconds;

use crate::wrangler::{SystemEntropy, Wrangler};
use crate::{SecretCommand, SecretPurpose, configuration};

const LOCAL: &str = ".dev.vars";
/// The longest that `session.absolute` may be.
const MAX_SESSION: Seconds = Seconds(30 * 86_400);
/// The longest that `sso_token.max_lifetime` may be.
const MAX_SSO_TOKEN: Seconds = Seconds(86_400);

/// Runs a `secret` command.
pub fn run(wrangler: &Wrangler, command: &SecretCommand) -> Result<(), String> {
    let names = names(wrangler)?;
    match command {
        SecretCommand::List => {
            for purpose in SecretPurpose::ALL {
                for number in numbers(&names, purpose) {
                    println!("{}{number}", purpose.prefix());
                }
            }
        }
        SecretCommand::Rotate { purpose } => {
            let known = numbers(&names, *purpose);
            let next = known.last().map_or(1, |newest| newest + 1);
            let name = format!("{}{next}", purpose.prefix());
            put(wrangler, &name)?;
            println!("{name} signs from now on. Nobody is signed out: older secrets still verify.");
            if let Some(previous) = known.last() {
                println!("{}", advice(*purpose, *previous));
            }
        }
        SecretCommand::Retire {
            purpose,
            number,
            yes,
        } => {
            let known = numbers(&names, *purpose);
            if known.last() == Some(number) {
                return Err("this is the newest secret, which signs; rotate it first".into());
            }
            if !known.contains(number) {
                return Err(format!("there is no {}{number}", purpose.prefix()));
            }
            if !*yes {
                confirm(&cut_off(*purpose, *number))?;
            }
            delete(wrangler, &format!("{}{number}", purpose.prefix()))?;
            println!(
                "{}{number} is removed; whatever it signed is no longer valid.",
                purpose.prefix()
            );
        }
    }
    Ok(())
}

/// What ends with a secret, and until when there can be any of it. Nobody knows when the next secret
/// was added, so the bound is that of the settings: the longest lifetime of any site.
fn cut_off(purpose: SecretPurpose, number: u32) -> String {
    let bounds = configuration::bounds();
    let assumed = if bounds.is_some() {
        "by the settings"
    } else {
        "which is the longest that the settings allow, as they could not be read"
    };
    let (session, sso_token) = bounds.unwrap_or((MAX_SESSION, MAX_SSO_TOKEN));
    let name = format!("{}{number}", purpose.prefix());
    let next = number.saturating_add(1);
    match purpose {
        SecretPurpose::Session => format!(
            "Every session that {name} signed ends at once: these people sign in again. The last of them \
             would end {} after secret {next} was added ({assumed}).",
            span(session)
        ),
        SecretPurpose::Token => format!(
            "Every SSO token and every link with one that {name} signed is refused at once. The last of them \
             would expire {} after secret {next} was added ({assumed}).",
            span(sso_token)
        ),
        SecretPurpose::Key => format!(
            "What {name} encrypts can no longer be read: signing keys, until `npm run admin -- key rotate` has \
             replaced them and 30 minutes have passed; links to set a password that wait for a service, for a \
             day; a provider's tokens, as long as the sessions of their sign-in. Credentials at origins are made \
             anew."
        ),
    }
}

/// Asks at the terminal; without one, only `--yes` goes on.
fn confirm(warning: &str) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        return Err(format!(
            "{warning}\n  Nothing was changed. To go on, add --yes"
        ));
    }
    eprint!("{warning}\nRemove it? [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| error.to_string())?;
    if answer.trim().eq_ignore_ascii_case("y") || answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err("nothing was changed".into())
    }
}

/// A length of time for people.
fn span(seconds: Seconds) -> String {
    let (count, unit) = match seconds.0 {
        days if days >= 86_400 && days.is_multiple_of(86_400) => (days / 86_400, "day"),
        hours if hours >= 3_600 && hours.is_multiple_of(3_600) => (hours / 3_600, "hour"),
        minutes if minutes >= 60 && minutes.is_multiple_of(60) => (minutes / 60, "minute"),
        seconds => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn advice(purpose: SecretPurpose, previous: u32) -> String {
    let (what, word) = match purpose {
        SecretPurpose::Session => (
            "when the absolute lifetime of sessions has passed (12 hours by default)",
            "session",
        ),
        SecretPurpose::Token => (
            "when the last SSO token has expired (15 minutes by default)",
            "token",
        ),
        SecretPurpose::Key => ("after `npm run admin -- key rotate` and 30 minutes", "key"),
    };
    format!("Retire the previous one {what}: npm run admin -- secret retire {word} {previous}")
}

fn numbers(names: &[String], purpose: SecretPurpose) -> Vec<u32> {
    let mut numbers: Vec<u32> = names
        .iter()
        .filter_map(|name| name.strip_prefix(purpose.prefix())?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

fn names(wrangler: &Wrangler) -> Result<Vec<String>, String> {
    if !wrangler.is_remote() {
        return Ok(local_lines()
            .iter()
            .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
            .collect());
    }
    let text = match wrangler.run(&["secret", "list", "--format", "json"], None) {
        // The Worker does not exist before its first deployment; its first secret creates it.
        Err(error) if error.contains("not found") => return Ok(Vec::new()),
        listed => listed?,
    };
    let start = text.find('[').unwrap_or(0);
    let list: Vec<serde_json::Value> = serde_json::from_str(text.get(start..).unwrap_or_default())
        .map_err(|error| format!("wrangler's list of secrets cannot be parsed: {error}"))?;
    Ok(list
        .iter()
        .filter_map(|secret| Some(secret.get("name")?.as_str()?.to_owned()))
        .collect())
}

fn put(wrangler: &Wrangler, name: &str) -> Result<(), String> {
    let mut bytes = [0_u8; 32];
    SystemEntropy.fill(&mut bytes);
    let value = URL_SAFE_NO_PAD.encode(bytes);
    if wrangler.is_remote() {
        return wrangler
            .run(&["secret", "put", name], Some(&value))
            .map(|_| ());
    }
    let mut lines = local_lines();
    lines.push(format!("{name}={value}"));
    write_local(&lines)
}

fn delete(wrangler: &Wrangler, name: &str) -> Result<(), String> {
    if wrangler.is_remote() {
        return wrangler
            .run(&["secret", "delete", name], Some("y\n"))
            .map(|_| ());
    }
    let lines: Vec<String> = local_lines()
        .into_iter()
        .filter(|line| {
            line.split_once('=')
                .is_none_or(|(found, _)| found.trim() != name)
        })
        .collect();
    write_local(&lines)
}

fn local_lines() -> Vec<String> {
    std::fs::read_to_string(LOCAL)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Writes a new file and moves it into place, so that an interrupted write loses nothing.
fn write_local(lines: &[String]) -> Result<(), String> {
    let beside = format!("{LOCAL}.new");
    let content = lines.join("\n") + "\n";
    std::fs::write(&beside, content).map_err(|error| format!("{beside}: {error}"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let only_me = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&beside, only_me).map_err(|error| format!("{beside}: {error}"))?;
    }
    std::fs::rename(&beside, LOCAL).map_err(|error| format!("{LOCAL}: {error}"))
}
