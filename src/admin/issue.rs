//! `POST /api/sso/token`: an SSO token for a user, who is created if the site allows it.

use serde_json::{Value, json};

use crate::admin::users::{self, NewHandle, UserPatch};
use crate::admin::{member, read_json, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::credential::sso_token;
use crate::model::api_token::{ApiToken, Scope};
use crate::model::audit::Action;
use crate::model::user::{Email, Tenant, User, UserId};
use crate::people::{self, Ensured};
use crate::site::tenant::Tenancy;

pub(super) async fn issue(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::TokenIssue)?;
    let body = read_json(ctx).await?;
    let email = match body.get("user_id") {
        Some(_) => None,
        None => Some(email_of(&body)?),
    };
    let may_name = |email: &Email| caller.issue_for.allows_email(email);
    if !email.as_ref().is_none_or(may_name) {
        return Err(Denial::OutsideLimit);
    }
    let patch = UserPatch {
        username: member(&body, "username")?,
        first_name: member(&body, "first_name")?,
        last_name: member(&body, "last_name")?,
        ..UserPatch::default()
    };
    let tenant = tenant_of(ctx, &body)?;
    let user = match email {
        Some(email) => user_for(ctx, caller, tenant.as_ref(), email, patch).await?,
        None => user_with_id(ctx, tenant.as_ref(), &body).await?,
    };
    if !user.active {
        return Err(Denial::UserDisabled);
    }
    if !caller.issue_for.allows(&user) {
        return Err(Denial::OutsideLimit);
    }
    let row = audited::row(ctx, Action::SsoTokenIssued).with("actor", caller.id.as_str());
    let row = row.with("user", user.id.as_str());
    let written = audited::write(ctx, user.tenant.as_ref(), row).await?;
    let token = sso_token::write(
        &written,
        &ctx.world.config,
        ctx.site,
        &user,
        &*ctx.world.platform.entropy,
        ctx.now,
    );
    let expires_in = ctx.site.sso_token.lifetime.0;
    Ok(Answer::json(
        200,
        &json!({ "token": token, "expires_in": expires_in }),
    ))
}

/// The user's tenant: that of the request, or the one that the body names if the site tells tenants
/// apart by a claim. On a site with tenants there is always one.
fn tenant_of(ctx: &Ctx<'_>, body: &Value) -> Result<Option<Tenant>, Denial> {
    let tenancy = Tenancy::of(ctx.site, ctx.parts);
    tenancy.require()?;
    let named: Option<Tenant> = member(body, "tenant")?;
    let tenant = match tenancy {
        Tenancy::ByClaim(_) => named,
        _ => match (named, tenancy.name()) {
            (Some(named), known) if Some(&named) != known => {
                return Err(Denial::InvalidField("tenant"));
            }
            (_, known) => known.cloned(),
        },
    };
    if tenancy.admits(tenant.as_ref()) {
        Ok(tenant)
    } else {
        Err(Denial::InvalidField("tenant"))
    }
}

fn email_of(body: &Value) -> Result<Email, Denial> {
    let text = body
        .get("email")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Denial::EmailRequired);
    }
    Email::parse(text).ok_or(Denial::InvalidEmail)
}

/// The user whom the body names by id, who may have no address. Not of another tenant, and never a new one.
async fn user_with_id(
    ctx: &Ctx<'_>,
    tenant: Option<&Tenant>,
    body: &Value,
) -> Result<User, Denial> {
    const FIELD: Denial = Denial::InvalidField("user_id");
    // Two names could be those of two users.
    if body.get("email").is_some() {
        return Err(FIELD);
    }
    let id = body.get("user_id").and_then(Value::as_str);
    let id = id.and_then(UserId::parse).ok_or(FIELD)?;
    let user = users::find(ctx, &id).await?;
    if user.tenant.as_ref() == tenant {
        Ok(user)
    } else {
        Err(Denial::NotFound)
    }
}

/// The user with this address, or a new one. An existing user stays as it is: a caller that may issue
/// tokens may not change users.
async fn user_for(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    tenant: Option<&Tenant>,
    email: Email,
    patch: UserPatch,
) -> Result<User, Denial> {
    if let Some(user) = people::find_by_email(ctx.world, tenant, &email, ctx.now).await? {
        return Ok(user);
    }
    if !ctx.site.auto_create_users {
        return Err(Denial::UserNotFound(
            email,
            ctx.site.sso_token.unknown_user_status,
        ));
    }
    patch.check_username(Some(&email))?;
    let mine = users::new_user(ctx.world, tenant, NewHandle::Address(email), patch, ctx.now);
    let row = audited::row(ctx, Action::UserCreated).with("actor", caller.id.as_str());
    let act = audited::begin(ctx, row).await?;
    match people::ensure(ctx.world, mine, ctx.now).await {
        Ok((made, Ensured::Made)) => {
            let user = ("user", made.id.as_str());
            act.tell(None, user, &Value::Null, &users::view(&made));
            act.end(ctx, None).await;
            Ok(made)
        }
        // Another call was first.
        Ok((found, Ensured::Found)) => {
            act.end_unchanged(ctx).await;
            Ok(found)
        }
        Err(error) => {
            let denial = Denial::from(error);
            act.end(ctx, Some(&denial)).await;
            Err(denial)
        }
    }
}
