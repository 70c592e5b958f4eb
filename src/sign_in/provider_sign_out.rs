//! Signing out at the provider too (`OpenID` Connect RP-Initiated Logout 1.0). Begun only by a sign-out here that has ended the
//! session already, so nothing of it fails because of the provider.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::authn::provider_calls;
use crate::authn::renewal;
use crate::credential::attempt::{Attempt, MAX_RETURN};
use crate::credential::session::{self, SetCookie};
use crate::memory::cache::Note;
use crate::model::claim::Granted;
use crate::sign_in::by_provider::{absolute, begun_here, lead_away, require_navigation};
use crate::site::issuer::KeySource;
use crate::site::provider::Provider;

/// What the name of an attempt begins with that is a sign-out: no provider has such a name, so none is taken for a sign-in.
const SIGN_OUT: &str = "out:";

/// Forgets the tokens of sessions that have ended, and leads the browser to the provider of the first that has one where
/// people are signed out too. The browser comes back to the page of `place`.
pub async fn begin(
    ctx: &Ctx<'_>,
    ended: &[Option<Rc<Granted>>],
    place: &ReturnTo,
) -> Option<Reply> {
    let mut first: Option<(&Rc<Provider>, Option<String>)> = None;
    for granted in ended.iter().flatten() {
        let id_token = match &granted.tokens {
            Some(id) => forget(ctx, id, &granted.issuer).await,
            None => None,
        };
        let provider = ctx.site.provider(&granted.issuer);
        if let Some(provider) = provider.filter(|provider| provider.sign_out && first.is_none()) {
            first = Some((provider, id_token));
        }
    }
    let (provider, id_token) = first.filter(|_| ctx.parts.wants_page())?;
    let endpoints = provider_calls::endpoints(ctx.world, provider, ctx.now)
        .await
        .ok()?;
    let url = endpoints.end_session.as_deref()?;
    let name = [SIGN_OUT, provider.name()].concat();
    let fits = place.local().len() <= MAX_RETURN;
    let root = ctx.root();
    let place = if fits { place } else { &root };
    let entropy = &*ctx.world.platform.entropy;
    let attempt = Attempt::begin(entropy, (&name, None), place.local(), ctx.now);
    let state = attempt.state();
    let back = absolute(
        ctx,
        &ctx.site
            .own_path(&["logged-out/", provider.name()].concat()),
    );
    let mut fields = vec![
        ("client_id", &*provider.client_id),
        ("post_logout_redirect_uri", &back),
        ("state", &state),
    ];
    fields.extend(id_token.as_deref().map(|token| ("id_token_hint", token)));
    Some(lead_away(ctx, url, &fields, (&attempt, false)))
}

/// What `form-action` must allow a sign-out to lead to.
#[must_use]
pub fn form_target(ctx: &Ctx<'_>) -> Option<&'static str> {
    let mut providers = ctx.site.own_providers().iter();
    let provider = providers.find(|provider| provider.sign_out)?;
    Some(match &provider.issuer.keys {
        KeySource::Remote(remote) if remote.loopback.is_some() => "http:",
        _ => "https:",
    })
}

/// Forgets the tokens with this id, and gives the ID token. The sign-out goes on if that fails: nothing refers to them any more.
async fn forget(ctx: &Ctx<'_>, id: &str, issuer: &str) -> Option<String> {
    let forgotten = renewal::forget(ctx, id).await;
    forgotten.unwrap_or_else(|fault| {
        ctx.world.cache.note(Note::TokensNotDeleted {
            site: ctx.site.name.clone(),
            issuer: issuer.to_owned(),
            fault,
        });
        None
    })
}

/// `/api/sso/logged-out/{name}`: where the browser was when it signed out, if it has done so here.
///
/// # Errors
/// [`Denial::UnknownEndpoint`], or [`Denial::SignOutElsewhere`].
pub fn returned(ctx: &Ctx<'_>, name: &str) -> Result<(ReturnTo, SetCookie), Denial> {
    let provider = ctx.site.provider(name).ok_or(Denial::UnknownEndpoint)?;
    require_navigation(ctx)?;
    let state = Form::of_query(ctx).text("state");
    let begun = begun_here(ctx, &[SIGN_OUT, provider.name()].concat(), &state);
    let (cookie, attempt) = begun.ok_or(Denial::SignOutElsewhere)?;
    let place = ctx.read_return_to(&attempt.return_to);
    Ok((
        place.unwrap_or_else(|| ctx.root()),
        session::clear_attempt(ctx.site, &cookie),
    ))
}
