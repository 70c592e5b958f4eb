//! What the commands need of the core: the check of a configuration, its schema, the facts that the documents must cover, the
//! rules explained, and the records of API tokens. Every format is then implemented once. Each function takes JSON and gives
//! JSON; files, the store and wrangler are the scripts' (`scripts/lib`). Users are not changed here: a shell sees KV a minute
//! late, so only the Worker changes their records.

mod configuration;
mod facts;
mod tokens;
mod users;

use edgeward::platform::time::Timestamp;
use serde::de::DeserializeOwned;

/// Runs the function that `command` names over `input`, a JSON text; the error is a text for people.
pub fn run(command: &str, input: &str, now: Timestamp) -> Result<String, String> {
    let answer = match command {
        "bounds" => configuration::bounds(read(input)?),
        "check-config" => configuration::check(read(input)?),
        "check-hashes" => users::check_hashes(&read::<Vec<String>>(input)?),
        "check-users" => users::check(read(input)?),
        "explain" => configuration::explain(read(input)?)?,
        "facts" => facts::facts(),
        "openapi" => edgeward::admin::openapi::document(),
        "schema" => edgeward::config::schema::schema(),
        "token-create" => tokens::create(read(input)?, now)?,
        "token-list" => tokens::list(&read(input)?)?,
        "token-revoke" => tokens::revoke(&read(input)?, now)?,
        _ => return Err(format!("the core has no function {command}")),
    };
    Ok(answer.to_string())
}

fn read<T: DeserializeOwned>(input: &str) -> Result<T, String> {
    serde_json::from_str(input).map_err(|error| error.to_string())
}

/// The border to JavaScript.
#[cfg(target_arch = "wasm32")]
mod border {
    use edgeward::platform::time::Timestamp;
    use wasm_bindgen::prelude::wasm_bindgen;

    /// [`super::run`] for JavaScript; `now` is in milliseconds. What it throws is a text.
    #[wasm_bindgen]
    pub fn run(command: &str, input: &str, now: f64) -> Result<String, String> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the time of JavaScript is a whole number below 2^53"
        )]
        super::run(command, input, Timestamp::from_millis(now as u64))
    }
}
