//! The tokens that a provider has given: what is kept of them, how sessions are renewed with them, and the access token for
//! an origin. Nothing of it is on the way of a request whose session is not due, at a site that asks for no access token.

mod asking;

use std::rc::Rc;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::answer::denial::Denial;
use crate::ask::ctx::{Ctx, Purpose};
use crate::authn::principal::Principal;
use crate::credential::session::{self, SessionClaims};
use crate::credential::verified::Claims;
use crate::jose::error::TokenError;
use crate::memory::provider::{KnownTokens, ProviderCause};
use crate::model::claim::Granted;
use crate::platform::digest::random_text;
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::provider::Provider;
use crate::store::provider_tokens::{
    ACCESS_TOKEN, ACCESS_UNTIL, ASKED_AT, ENDS_ALL, ENDS_AT, GRANTED, ID_TOKEN, MAX_ID_TOKEN,
    MAX_TOKEN, ProviderTokens, REFRESH_TOKEN, REFRESHED_AT, SIGNED_IN, TokenRecord,
};

/// For how long whoever asks the provider has the record: longer than all that may take.
const BUSY: Seconds = Seconds(60);
/// How long a request waits for another one that asks, where it cannot do without.
const PATIENCE: Seconds = Seconds(10);
/// For how long a provider that has failed is not asked again by this isolate.
const FAILED_FOR: Seconds = Seconds(10);
/// For how long it is not asked for a better access token than the last one, of whatever use that is.
const AGAIN: Seconds = Seconds(60);
/// How long before its end an access token is not used any more, and after how long one is renewed that does not say when that is.
const BEFORE_END: u64 = 30;
const USUAL: u64 = 300;
/// How often the answer of a provider is written that must not be lost: it has the only refresh token that still counts.
const WRITES: usize = 3;

/// The record with this id.
fn record<'a>(ctx: &'a Ctx<'_>, id: &'a str) -> TokenRecord<'a> {
    TokenRecord {
        platform: &ctx.world.platform,
        keys: &ctx.world.config.keys.key,
        id,
        now: ctx.now,
    }
}

/// What is kept of the answer of a token endpoint with these claims of the ID token; `None` where nothing is needed.
///
/// # Errors
/// [`ProviderCause::NoRefreshToken`]: without one, a session would not end with the person's account there.
pub(super) fn gather(
    ctx: &Ctx<'_>,
    provider: &Provider,
    answer: &Map<String, Value>,
    claims: &Map<String, Value>,
) -> Result<Option<ProviderTokens>, ProviderCause> {
    let mut tokens = ProviderTokens::default();
    take_refresh_token(provider, answer, &mut tokens);
    take_others(ctx, provider, answer, &mut tokens);
    if provider.offline.is_some() && tokens.text(REFRESH_TOKEN).is_none() {
        return Err(ProviderCause::NoRefreshToken);
    }
    if tokens.0.is_empty() {
        return Ok(None);
    }
    for name in SIGNED_IN {
        tokens.set(name, claims.get(name).cloned().unwrap_or_default());
    }
    tokens.set_time(REFRESHED_AT, ctx.now);
    Ok(Some(tokens))
}

/// Takes a token out of an answer; one that it does not have stays as it was. Returns whether it has one.
fn take(
    answer: &Map<String, Value>,
    (name, limit): (&str, usize),
    tokens: &mut ProviderTokens,
) -> bool {
    let token = answer.get(name).and_then(Value::as_str);
    let token = token.filter(|token| !token.is_empty() && token.len() <= limit);
    if let Some(token) = token {
        tokens.set(name, token.into());
    }
    token.is_some()
}

/// Takes the refresh token out of an answer, of whatever use the rest of it is: the one before may count no more. Returns
/// whether it has another one.
fn take_refresh_token(
    provider: &Provider,
    answer: &Map<String, Value>,
    tokens: &mut ProviderTokens,
) -> bool {
    let old = tokens.0.get(REFRESH_TOKEN).cloned();
    provider.offline.is_some()
        && take(answer, (REFRESH_TOKEN, MAX_TOKEN), tokens)
        && tokens.0.get(REFRESH_TOKEN) != old.as_ref()
}

/// Takes the other tokens out of an answer that was found right.
fn take_others(
    ctx: &Ctx<'_>,
    provider: &Provider,
    answer: &Map<String, Value>,
    tokens: &mut ProviderTokens,
) {
    if provider.sign_out {
        take(answer, (ID_TOKEN, MAX_ID_TOKEN), tokens);
    }
    let is_sent = ctx.world.config.sites().any(|site| site.sends_access_token);
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let is_bearer = text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    let is_sendable = |token: &str| token.bytes().all(|b| b.is_ascii_graphic());
    let is_usable = is_sent && is_bearer && text(ACCESS_TOKEN).is_some_and(is_sendable);
    if is_usable && take(answer, (ACCESS_TOKEN, MAX_TOKEN), tokens) {
        let always = u64::from(u32::MAX);
        let lasts = answer.get("expires_in").and_then(Value::as_u64);
        // GitHub's last until they are withdrawn, and have no end that they could tell.
        let unknown = provider.offline.as_ref().map_or(always, |_| USUAL);
        let lasts = lasts.unwrap_or(unknown).min(always);
        let until = ctx.now.seconds() + lasts - BEFORE_END.min(lasts / 2);
        tokens.set_time(ACCESS_UNTIL, Timestamp::from_seconds(until));
    }
}

/// Keeps the tokens of a sign-in, for as long as a session that began with it may last; with what it has granted.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn keep(
    ctx: &Ctx<'_>,
    mut tokens: ProviderTokens,
    granted: &Granted,
) -> Result<Granted, Fault> {
    let id = random_text(&*ctx.world.platform.entropy);
    let longest = ctx.world.config.sites().map(|site| site.session.absolute);
    let at_sites = longest.max().filter(|_| ctx.site.gateway.is_some());
    let at_sites = at_sites.unwrap_or(Seconds(0));
    let ends_at = ctx.now + ctx.site.session.absolute + at_sites;
    tokens.set_time(ENDS_AT, ends_at);
    let record = record(ctx, &id);
    let written = record.write("", &tokens, Timestamp::default());
    written.await?.ok_or(Fault::Once)?;
    Ok(Granted {
        tokens: Some(id),
        ..granted.clone()
    })
}

/// Deletes the tokens of a session that has ended. Returns the ID token.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn forget(ctx: &Ctx<'_>, id: &str) -> Result<Option<String>, Fault> {
    ctx.world.cache.forget_provider_tokens(id);
    let tokens = record(ctx, id).take().await?;
    let token = tokens.as_ref().and_then(|tokens| tokens.text(ID_TOKEN));
    Ok(token.map(str::to_owned))
}

/// Whether a session is to be renewed by its provider. At the gateway always: whoever enters a site from there must not do so
/// with a session that has ended at another one. Where the origin gets access tokens, whenever one is wanted: what comes with it
/// holds for the rules as well.
pub(super) fn is_due(ctx: &Ctx<'_>, claims: &SessionClaims) -> bool {
    session::renewed_by(ctx.site, claims).is_some()
        && ctx.purpose == Purpose::Serve
        && (ctx.site.sends_access_token || is_due_now(ctx, claims))
}

fn is_due_now(ctx: &Ctx<'_>, claims: &SessionClaims) -> bool {
    ctx.site.gateway.is_some() || ctx.now >= claims.issued_at + interval(ctx)
}

/// How often the provider is asked.
fn interval(ctx: &Ctx<'_>) -> Seconds {
    ctx.site.session.renewal_interval()
}

/// The session as the provider has renewed it, or with what it has granted last while another request asks, which nobody waits
/// for. `None` where both are what the session has.
///
/// # Errors
/// [`TokenError::Ended`], or a fault.
pub(super) async fn renew(
    ctx: &Ctx<'_>,
    claims: &SessionClaims,
) -> Result<Option<SessionClaims>, TokenError> {
    let Some(source) = TokenHolder::of(ctx, claims) else {
        return Ok(None);
    };
    let has_access = |known: &KnownTokens| has_access(ctx, known);
    let is_enough = |known: &KnownTokens| {
        !known.is_renewable
            || ctx.now < known.refreshed_at + interval(ctx)
                && (!ctx.site.sends_access_token || has_access(known))
    };
    let (known, is_settled) = source.current(ctx, claims, &is_enough, false).await?;
    let granted = known.granted.as_ref().or(claims.granted.as_ref());
    // In seconds, as a cookie has it.
    let is_newer = known.refreshed_at.seconds() > claims.issued_at.seconds();
    Ok(if is_settled && (is_newer || is_due_now(ctx, claims)) {
        Some(session::renewed(ctx.site, claims, granted, ctx.now))
    } else {
        // What the session has already is not made anew for each request.
        let other = known
            .granted
            .as_ref()
            .filter(|_| granted != claims.granted.as_ref());
        other.map(|granted| SessionClaims {
            granted: Some(Rc::clone(granted)),
            ..claims.clone()
        })
    })
}

/// Whether the provider need not be asked for an access token: there is a good one, or there would be no better one.
fn has_access(ctx: &Ctx<'_>, known: &KnownTokens) -> bool {
    good(ctx, known).is_some() || !known.is_renewable || ctx.now < known.asked_at + AGAIN
}

/// The access token, while it is good.
fn good(ctx: &Ctx<'_>, known: &KnownTokens) -> Option<Rc<str>> {
    let (token, until) = known.access.as_ref()?;
    (ctx.now < *until).then(|| Rc::clone(token))
}

/// The access token of a caller whose session began at a provider, while it is good.
///
/// # Errors
/// That the session has ended, or a fault.
pub async fn access_token(ctx: &Ctx<'_>, principal: &Principal) -> Result<Option<Rc<str>>, Denial> {
    let Claims::Session(claims) = &principal.verified().claims else {
        return Ok(None);
    };
    let Some(source) = TokenHolder::of(ctx, claims) else {
        return Ok(None);
    };
    let is_enough = |known: &KnownTokens| has_access(ctx, known);
    let current = Box::pin(source.current(ctx, claims, &is_enough, true));
    let (known, _) = current.await.map_err(Denial::from)?;
    Ok(good(ctx, &known))
}

/// What has the tokens of a session.
struct TokenHolder<'a> {
    id: &'a str,
    provider: &'a Rc<Provider>,
}

impl<'a> TokenHolder<'a> {
    fn of(ctx: &Ctx<'a>, claims: &'a SessionClaims) -> Option<Self> {
        let granted = claims.granted.as_ref()?;
        let id = granted.tokens.as_deref()?;
        let provider = ctx.site.provider_of(&granted.issuer)?;
        Some(Self { id, provider })
    }

    fn known(&self, ctx: &Ctx<'_>) -> Option<Rc<KnownTokens>> {
        let cache = &ctx.world.cache;
        cache.provider_tokens(self.id, ctx.world.config.user_cache, ctx.now)
    }

    fn remember(&self, ctx: &Ctx<'_>, tokens: &ProviderTokens) -> Rc<KnownTokens> {
        let granted = tokens.0.get(GRANTED);
        let granted = granted.and_then(|value| Granted::deserialize(value).ok());
        let granted = granted.map(|granted| {
            let granted = Granted {
                tokens: Some(self.id.to_owned()),
                ..granted
            };
            Rc::new(session::within(granted, &self.provider.issuer))
        });
        let access = tokens.text(ACCESS_TOKEN);
        let known = Rc::new(KnownTokens {
            granted,
            is_renewable: self.provider.offline.is_some() && tokens.text(REFRESH_TOKEN).is_some(),
            refreshed_at: tokens.time(REFRESHED_AT),
            asked_at: tokens.time(ASKED_AT),
            access: access.map(|token| (token.into(), tokens.time(ACCESS_UNTIL))),
        });
        let cache = &ctx.world.cache;
        cache.put_provider_tokens(self.id, Rc::clone(&known), ctx.now);
        known
    }

    /// What is known of the tokens, and whether that is all there is: the provider is asked for more if it is not enough, by one
    /// request at a time. `waits`: whether others wait for what comes of it.
    async fn current(
        &self,
        ctx: &Ctx<'_>,
        claims: &SessionClaims,
        is_enough: &dyn Fn(&KnownTokens) -> bool,
        waits: bool,
    ) -> Result<(Rc<KnownTokens>, bool), TokenError> {
        if let Some(known) = self.known(ctx).filter(|known| is_enough(known)) {
            return Ok((known, true));
        }
        let record = record(ctx, self.id);
        let (mut text, mut patience) = (String::new(), Seconds(0));
        loop {
            let read = record.read(&text, patience).await?;
            let held = read.ok_or(TokenError::Ended)?;
            if held.tokens.0.contains_key(ENDS_ALL) {
                let all = Some(held.tokens.time(ENDS_ALL));
                let ended = Box::pin(self.end(ctx, claims, &record, &held.text, all));
                return ended.await;
            }
            let known = self.remember(ctx, &held.tokens);
            if is_enough(&known) {
                return Ok((known, true));
            }
            if ctx.now >= held.busy_until {
                return match &self.provider.offline {
                    Some(offline) if known.is_renewable => {
                        self.refresh(ctx, claims, offline, held).await
                    }
                    _ => Ok((known, true)),
                };
            }
            if !waits || patience == PATIENCE {
                return Ok((known, false));
            }
            (text, patience) = (held.text, PATIENCE);
        }
    }
}
