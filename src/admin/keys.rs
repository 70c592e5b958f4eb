//! `/api/sso/keys`: the keys that sign assertions.

use serde_json::{Value, json};

use super::{Call, require};
use crate::answer::Answer;
use crate::denial::Denial;
use crate::store::signing_keys::SigningKeys;
use crate::token::api_token::{ApiToken, Scope};
use crate::token::assertion;

pub(super) async fn list(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if call.parts.method() != "GET" {
        return Err(Denial::MethodNotAllowed("GET"));
    }
    let keys = assertion::ready_keys(call.world, call.now).await?;
    Ok(Answer::json(200, &view(&keys)))
}

pub(super) async fn rotate(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if call.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let keys = assertion::rotate(call.world, call.now).await?;
    Ok(Answer::json(200, &view(&keys)))
}

fn view(keys: &SigningKeys) -> Value {
    let keys: Vec<Value> = keys
        .keys
        .iter()
        .map(|key| {
            json!({
                "kid": key.kid,
                "created_at": key.created_at.seconds(),
                "signs_from": key.signs_from.seconds(),
                "retired_at": key.retired_at.map(crate::time::Timestamp::seconds),
                "sealed_with": key.secret,
            })
        })
        .collect();
    json!({ "keys": keys })
}
