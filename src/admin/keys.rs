//! `/api/sso/keys`: list and rotate the keys that sign assertions.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::admin::{intended, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::Act;
use crate::ask::ctx::Ctx;
use crate::model::api_token::{ApiToken, Scope};
use crate::origin::assertion;
use crate::platform::algorithm::Algorithm;
use crate::store::signing_keys::SigningKeys;

pub(super) async fn list(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "GET" {
        return Err(Denial::MethodNotAllowed("GET"));
    }
    let keys = assertion::all_keys(ctx.world, ctx.now).await?;
    Ok(Answer::json(200, &view(&keys)))
}

pub(super) async fn rotate(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let act = intended(act)?;
    let keys = assertion::rotate(ctx.world, ctx.now).await?;
    let kids = keys.iter().flat_map(|(_, keys)| &keys.keys);
    let kids: Vec<&str> = kids.map(|key| key.kid.as_str()).collect();
    act.tell(
        None,
        ("object", "signing_keys"),
        &Value::Null,
        &json!({ "kids": kids }),
    );
    Ok(Answer::json(200, &view(&keys)))
}

fn view(all: &[(Algorithm, Rc<SigningKeys>)]) -> Value {
    let mut views = Vec::new();
    for (algorithm, keys) in all {
        views.extend(keys.keys.iter().map(|key| {
            json!({
                "kid": key.kid,
                "algorithm": algorithm,
                "created_at": key.created_at.seconds(),
                "signs_from": key.signs_from.seconds(),
                "retired_at": key.retired_at.map(crate::platform::time::Timestamp::seconds),
                "sealed_with": key.secret,
            })
        }));
    }
    json!({ "keys": views })
}
