//! Asking a provider to renew a session: one request at a time, and what its answer comes to.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{
    BUSY, FAILED_FOR, TokenHolder, WRITES, interval, record, take_others, take_refresh_token,
};
use crate::answer::denial::Denial;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::authn::{provider, provider_calls};
use crate::credential::session::{self, SessionClaims};
use crate::credential::verified::Claims;
use crate::jose::error::TokenError;
use crate::memory::cache::Note;
use crate::memory::provider::{Endpoints, KnownTokens, ProviderCause};
use crate::model::audit::Action;
use crate::model::proof::OF_PROVIDER;
use crate::people;
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::provider::{IfRefused, Offline};
use crate::store::ended_sessions::EndedSessions;
use crate::store::provider_tokens::{
    ASKED_AT, ENDS_ALL, GRANTED, Held, ProviderTokens, REFRESH_TOKEN, REFRESHED_AT, TokenRecord,
};

impl TokenHolder<'_> {
    /// Asks the provider, unless another request does.
    pub(super) async fn refresh(
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
                    return self.end(ctx, claims, &record, &busy, None).await;
                }
                IfRefused::EndAll => {
                    // If ending them fails, the next request goes on with it.
                    tokens.set_time(ENDS_ALL, ctx.now);
                    let written = write(&record, &busy, &tokens, Timestamp::default());
                    let Some(text) = written.await? else {
                        return self.as_it_is(ctx, &record).await;
                    };
                    return Box::pin(self.end(ctx, claims, &record, &text, Some(ctx.now))).await;
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
    /// `all`: with every other session of the person that began before this moment.
    pub(super) async fn end(
        &self,
        ctx: &Ctx<'_>,
        claims: &SessionClaims,
        record: &TokenRecord<'_>,
        held: &str,
        all: Option<Timestamp>,
    ) -> Result<(Rc<KnownTokens>, bool), TokenError> {
        let (world, now) = (ctx.world, ctx.now);
        if let Some(at) = all {
            let ended = people::end_sessions(world, &claims.user, None, at);
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
        let actor = [OF_PROVIDER, self.provider.name()].concat();
        let row = audited::row(ctx, Action::SessionsEnded).with("actor", &actor);
        let row = row.with("user", claims.user.as_str());
        Box::pin(audited::note(ctx, row)).await;
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
