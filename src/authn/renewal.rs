//! The tokens that a provider has given: what is kept of them, how sessions are renewed with them, and the access token for
//! an origin. Nothing of it is on the way of a request whose session is not due, at a site that asks for no access token.

use std::rc::Rc;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::answer::denial::Denial;
use crate::ask::ctx::{Ctx, Purpose};
use crate::authn::principal::Principal;
use crate::authn::{provider, provider_calls};
use crate::credential::session::{self, SessionClaims};
use crate::credential::verified::Claims;
use crate::jose::error::TokenError;
use crate::memory::cache::Note;
use crate::memory::provider::{Endpoints, KnownTokens, ProviderCause};
use crate::model::claim::Granted;
use crate::people;
use crate::platform::digest::random_text;
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::provider::{IfRefused, Offline, Provider};
use crate::store::ended_sessions::EndedSessions;
use crate::store::provider_tokens::{
    ACCESS_TOKEN, ACCESS_UNTIL, ASKED_AT, ENDS_ALL, ENDS_AT, GRANTED, Held, ID_TOKEN, MAX_ID_TOKEN,
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
    Seconds(ctx.site.session.idle.0 / 2)
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
    let Some(source) = Source::of(ctx, claims) else {
        return Ok(None);
    };
    let has_access = |known: &KnownTokens| source.has_access(ctx, known);
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
    let Some(source) = Source::of(ctx, claims) else {
        return Ok(None);
    };
    let is_enough = |known: &KnownTokens| source.has_access(ctx, known);
    let current = Box::pin(source.current(ctx, claims, &is_enough, true));
    let (known, _) = current.await.map_err(Denial::from)?;
    Ok(good(ctx, &known))
}

/// What has the tokens of a session.
struct Source<'a> {
    id: &'a str,
    provider: &'a Rc<Provider>,
}

impl<'a> Source<'a> {
    fn of(ctx: &Ctx<'a>, claims: &'a SessionClaims) -> Option<Self> {
        let granted = claims.granted.as_ref()?;
        let id = granted.tokens.as_deref()?;
        let mut providers = ctx.site.providers.iter();
        let provider = providers.find(|provider| provider.name() == granted.issuer)?;
        Some(Self { id, provider })
    }

    /// Whether the provider need not be asked for an access token: there is a good one, or there would be no better one.
    fn has_access(&self, ctx: &Ctx<'_>, known: &KnownTokens) -> bool {
        good(ctx, known).is_some() || !known.is_renewable || ctx.now < known.asked_at + AGAIN
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
                let ended = Box::pin(self.end(ctx, claims, &record, &held.text, true));
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

    async fn refresh(
        &self,
        ctx: &Ctx<'_>,
        claims: &SessionClaims,
        offline: &Offline,
        held: Held,
    ) -> Result<(Rc<KnownTokens>, bool), TokenError> {
        let record = record(ctx, self.id);
        let issuers = &ctx.world.cache.issuer_keys;
        let issuer = &self.provider.issuer;
        let failed = issuers.state(issuer).renewal_failed;
        // Counted from when it was due.
        let is_over = ctx.now >= held.tokens.time(REFRESHED_AT) + interval(ctx) + offline.bound;
        let goes_on = |tokens: &ProviderTokens| {
            if is_over {
                Err(TokenError::Ended)
            } else {
                Ok((self.remember(ctx, tokens), true))
            }
        };
        let asked_at = held.tokens.time(ASKED_AT);
        let of_person = Some(asked_at).filter(|at| *at > held.tokens.time(REFRESHED_AT));
        let is_recent = |at: Timestamp| ctx.now < at + FAILED_FOR;
        if failed.is_some_and(is_recent) || of_person.is_some_and(is_recent) {
            return goes_on(&held.tokens);
        }
        let busy_until = ctx.now + BUSY;
        let mut tokens = held.tokens;
        let taken = record.write(&held.text, &tokens, busy_until);
        let Some(mut busy) = taken.await? else {
            return self.as_it_is(ctx, &record).await;
        };
        tokens.set_time(ASKED_AT, ctx.now);
        let answer = Box::pin(self.ask(ctx, &tokens)).await;
        if let Ok((_, answer)) = &answer
            && take_refresh_token(self.provider, answer, &mut tokens)
        {
            // Before anything else may fail or take long.
            let Some(text) = write(&record, &busy, &tokens, busy_until).await? else {
                return self.as_it_is(ctx, &record).await;
            };
            busy = text;
        }
        let asked = match answer {
            Ok((endpoints, answer)) => {
                Box::pin(self.judge(ctx, claims, (&endpoints, &answer), &mut tokens)).await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &asked {
            let (Failure::Refused(cause) | Failure::Down(cause)) = failure;
            ctx.world.cache.note(Note::NotRenewed {
                site: ctx.site.name.clone(),
                issuer: issuer.name.clone(),
                cause: *cause,
            });
        }
        if matches!(asked, Err(Failure::Refused(_))) {
            match offline.if_refused {
                IfRefused::Keep => tokens.set(REFRESH_TOKEN, Value::Null),
                IfRefused::EndSession => {
                    return self.end(ctx, claims, &record, &busy, false).await;
                }
                IfRefused::EndAll => {
                    // If ending them fails, the next request goes on with it.
                    tokens.set(ENDS_ALL, true.into());
                    let written = write(&record, &busy, &tokens, Timestamp::default());
                    let Some(text) = written.await? else {
                        return self.as_it_is(ctx, &record).await;
                    };
                    return Box::pin(self.end(ctx, claims, &record, &text, true)).await;
                }
            }
        }
        if matches!(asked, Err(Failure::Down(cause)) if provider_calls::is_of_everybody(cause)) {
            issuers.change(issuer, |state| state.renewal_failed = Some(ctx.now));
        }
        let written = write(&record, &busy, &tokens, Timestamp::default()).await?;
        if written.is_none() {
            // It took too long, and somebody else has asked since.
            return self.as_it_is(ctx, &record).await;
        }
        match asked {
            Err(Failure::Down(_)) => goes_on(&tokens),
            _ => Ok((self.remember(ctx, &tokens), true)),
        }
    }

    /// What the record has now, which somebody else has changed.
    async fn as_it_is(
        &self,
        ctx: &Ctx<'_>,
        record: &TokenRecord<'_>,
    ) -> Result<(Rc<KnownTokens>, bool), TokenError> {
        let held = record.read("", Seconds(0)).await?;
        let held = held.ok_or(TokenError::Ended)?;
        Ok((self.remember(ctx, &held.tokens), false))
    }

    /// Ends a session that the provider does not renew, unless somebody else has asked since with a newer refresh token.
    /// `all`: with every other session of the person.
    async fn end(
        &self,
        ctx: &Ctx<'_>,
        claims: &SessionClaims,
        record: &TokenRecord<'_>,
        held: &str,
        all: bool,
    ) -> Result<(Rc<KnownTokens>, bool), TokenError> {
        let (world, now) = (ctx.world, ctx.now);
        if all {
            let ended = people::end_sessions(world, &claims.user, None, now);
            if let Err(Denial::Fault(fault)) = Box::pin(ended).await {
                return Err(fault.into());
            }
        }
        // Gone at once; so is every other session that has it, when it is due.
        if !record.remove(held).await? {
            return self.as_it_is(ctx, record).await;
        }
        world.cache.forget_provider_tokens(self.id);
        let until = session::ends_at(ctx.site, claims);
        let ended = EndedSessions(&*world.platform.kv);
        ended.put(&claims.id, until, now).await?;
        world.cache.own_changes.end_session(&claims.id);
        Err(TokenError::Ended)
    }

    /// Asks the provider (RFC 6749 §6).
    async fn ask(
        &self,
        ctx: &Ctx<'_>,
        tokens: &ProviderTokens,
    ) -> Result<(Rc<Endpoints>, Map<String, Value>), Failure> {
        let provider = self.provider;
        let endpoints = provider_calls::endpoints(ctx.world, provider, ctx.now).await;
        let endpoints = endpoints.map_err(Failure::Down)?;
        let grant = [
            ("grant_type", "refresh_token"),
            (
                "refresh_token",
                tokens.text(REFRESH_TOKEN).unwrap_or_default(),
            ),
        ];
        let answer =
            provider_calls::redeem(ctx.world, provider, &endpoints.token, &grant, ctx.now).await;
        let answer = answer.map_err(|cause| match cause {
            ProviderCause::Refused(_, error) if NOT_WITHOUT_PERSON.contains(&error) => {
                Failure::Refused(cause)
            }
            cause => Failure::Down(cause),
        })?;
        Ok((endpoints, answer))
    }

    /// Judges the answer (Core 1.0 §12). `tokens` has what it has brought only if it is right.
    async fn judge(
        &self,
        ctx: &Ctx<'_>,
        claims: &SessionClaims,
        (endpoints, answer): (&Endpoints, &Map<String, Value>),
        tokens: &mut ProviderTokens,
    ) -> Result<(), Failure> {
        let provider = self.provider;
        // A provider need not send an ID token again; what was granted stays then.
        if answer.contains_key("id_token") {
            let nonce = tokens.text("nonce").unwrap_or_default();
            let read = provider::read(ctx, provider, endpoints, answer, (nonce, false)).await;
            let (id, said) = read.map_err(|cause| match cause {
                ProviderCause::OtherSubject => Failure::Refused(cause),
                cause => Failure::Down(cause),
            })?;
            let is_same = |name: &&str| said.get(*name) == tokens.0.get(*name);
            if !["iss", "sub"].iter().all(is_same) {
                return Err(Failure::Refused(ProviderCause::OtherSubject));
            }
            let home = match ctx.world.config.gateway() {
                Some((gateway, _)) if ctx.site.own_providers().is_empty() => gateway,
                _ => ctx.site,
            };
            let admitted = provider::admit_person(
                ctx,
                home,
                &provider.issuer,
                (id, said),
                &[None, None],
                ctx.now,
            );
            let principal = Box::pin(admitted).await.map_err(|error| {
                let cause = ProviderCause::IdToken(error);
                if provider::is_about_person(provider, error) {
                    Failure::Refused(cause)
                } else {
                    Failure::Down(cause)
                }
            })?;
            if principal.user().id != claims.user {
                return Err(Failure::Refused(ProviderCause::OtherSubject));
            }
            if let Claims::Foreign(foreign) = &principal.verified().claims {
                let granted = foreign.for_session.as_deref();
                let granted = granted.and_then(|one| serde_json::to_value(one).ok());
                tokens.set(GRANTED, granted.unwrap_or_default());
            }
        }
        take_others(ctx, provider, answer, tokens);
        tokens.set_time(REFRESHED_AT, ctx.now);
        Ok(())
    }
}

/// Writes the record, again if the store has failed: what a provider has answered must not be lost.
async fn write(
    record: &TokenRecord<'_>,
    held: &str,
    tokens: &ProviderTokens,
    busy_until: Timestamp,
) -> Result<Option<String>, Fault> {
    let mut written = Err(Fault::Once);
    for _ in 0..WRITES {
        written = record.write(held, tokens, busy_until).await;
        if written.is_ok() {
            break;
        }
    }
    written
}

/// The errors by which a provider says that the person has to sign in again.
const NOT_WITHOUT_PERSON: [&str; 5] = [
    "access_denied",
    "consent_required",
    "interaction_required",
    "invalid_grant",
    "login_required",
];

/// Why a provider has not renewed a session.
enum Failure {
    /// It says that it will not, or what it says is not about this person.
    Refused(ProviderCause),
    /// It is down, or its answer is of no use.
    Down(ProviderCause),
}
