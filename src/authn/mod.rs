//! From the credentials that a request presents to the principal behind them. The one place where
//! a credential is verified, wherever it was.
//!
//! Three answers per source: nothing there, or over its time (the next source is asked); good (it
//! decides); bad (the request stops: a bad credential never falls through to the next source).

pub mod attempts;
mod binding;
mod client_assertion;
pub mod foreign;
pub mod github;
pub mod jwks;
pub mod link;
mod others_key;
pub mod principal;
pub mod provider;
pub mod provider_calls;
pub mod renewal;
pub mod report;
mod validity;
mod verify;

use std::cmp::Reverse;

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::ask::source::MAX_OF_ONE_SOURCE;
use crate::authn::principal::Principal;
pub use crate::authn::verify::verify;
use crate::credential::verified::Claims;
use crate::jose::error::TokenError;
use crate::platform::time::Timestamp;
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};

/// What the presented credentials came to.
pub struct Authentication {
    /// Who is calling; `Ok(None)` for nobody; an error stops the request.
    pub result: Result<Option<Principal>, TokenError>,
    /// Who is signed in by our own cookie, whatever `result` says.
    pub session: Option<Principal>,
    /// Our cookie was presented and is not honoured.
    pub clear_session: bool,
    /// Our cookie was presented twice, once with a session that counts and once with one that does not.
    pub mend_session: bool,
    /// The application's cookie was presented and has expired, or contradicts itself.
    pub clear_sso_cookie: bool,
    /// The one of the application's cookies that counts, beside others that do not, and when it expires.
    pub mend_sso_cookie: Option<(usize, Timestamp)>,
    /// Something was presented whose time is over.
    pub over: bool,
}

impl Authentication {
    /// Of a request whose credentials are not looked at.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self {
            result: Ok(None),
            session: None,
            clear_session: false,
            mend_session: false,
            clear_sso_cookie: false,
            mend_sso_cookie: None,
            over: false,
        }
    }

    /// Why there is nobody, when nobody is signed in.
    #[must_use]
    pub fn absence(&self) -> Denial {
        if self.over {
            Denial::Credential(TokenError::Expired)
        } else {
            Denial::SignInRequired
        }
    }

    /// The caller, where there has to be one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn required(&self) -> Result<Principal, Denial> {
        self.result
            .clone()
            .map_err(Denial::from)?
            .ok_or_else(|| self.absence())
    }
}

/// Verifies every credential of the request, and says who is calling.
///
/// A valid SSO token, from cookie or query, stands for a sign-in that has just happened, so a session
/// makes way for it, unless the site has `newer_sign_in = false`. Otherwise the site's order of sources decides.
pub async fn authenticate(ctx: &Ctx<'_>) -> Authentication {
    let presented = ctx.presented;
    // Whoever names a wrong tenant is told so, with a credential or without.
    if let Tenancy::Unknown = presented.tenancy {
        return Authentication {
            result: Err(TokenError::UnknownTenant),
            ..Authentication::anonymous()
        };
    }
    let (session, other_session) = examine(ctx, Source::Session, &presented.session).await;
    // Before all others that a token can be in: what is in the URL too, is a link.
    let (query, _) = examine(ctx, Source::Query, &presented.query).await;
    let (sso_cookie, sso_beside) = examine(ctx, Source::SsoCookie, &presented.sso_cookie).await;
    let (bearer, _) = examine(ctx, Source::Bearer, &presented.bearer).await;
    let (header, _) = examine(ctx, Source::Header, &presented.header).await;
    let (api_key, _) = examine(ctx, Source::ApiKey, &presented.api_key).await;
    let of = |source| match source {
        Source::Session => &session,
        Source::SsoCookie => &sso_cookie,
        Source::Query => &query,
        Source::Bearer => &bearer,
        Source::Header => &header,
        Source::ApiKey => &api_key,
    };
    let result = decide(ctx, of);
    Authentication {
        over: [Source::Session, Source::SsoCookie, Source::Query]
            .into_iter()
            .any(|source| matches!(of(source), Examined::Over)),
        result,
        clear_session: session.is_dead(),
        mend_session: other_session.is_some(),
        clear_sso_cookie: matches!(
            sso_cookie,
            Examined::Over | Examined::Bad(TokenError::Conflict)
        ),
        mend_sso_cookie: sso_beside.zip(sso_cookie.good().map(Principal::expires_at)),
        session: session.good().cloned(),
    }
}

/// The first source in the site's order that holds something decides, but for two: a session makes
/// way for a token that stands for a later sign-in (`newer_sign_in`); and a cookie that is no good does not hold up a
/// browser that brings such a token, while an API client with one is told so.
fn decide<'a>(
    ctx: &Ctx<'_>,
    of: impl Fn(Source) -> &'a Examined,
) -> Result<Option<Principal>, TokenError> {
    let site = ctx.site;
    let navigation = ctx.parts.is_navigation();
    let session = of(Source::Session).good();
    let handed_over = || {
        site.sources
            .iter()
            .filter(|source| matches!(source, Source::SsoCookie | Source::Query))
            .find_map(|source| {
                let token = of(*source).good()?;
                is_news(token, session, is_kept(site, *source)).then_some(token)
            })
    };
    for source in &site.sources {
        let found = match (source, of(*source)) {
            // One that stays does not undo what has happened since it was set.
            (source, Examined::Good(token))
                if is_kept(site, *source)
                    && session.is_some()
                    && !is_news(token, session, true) =>
            {
                continue;
            }
            // A client that names a credential itself is told that its time is over.
            (Source::Bearer | Source::Header | Source::ApiKey, Examined::Over) => {
                Err(TokenError::Expired)
            }
            (_, Examined::Absent | Examined::Over) => continue,
            (_, Examined::Good(principal)) => Ok(principal),
            (_, Examined::Bad(error)) => Err(*error),
        };
        if found.is_err() {
            ctx.presented.refused.set(Some(*source));
        }
        let unknown = matches!(found, Err(TokenError::Fault(_)));
        let yields = if found.is_ok() {
            site.newer_sign_in
        } else {
            navigation && !unknown
        };
        let makes_way = *source == Source::Session && yields;
        let later = if makes_way { handed_over() } else { None };
        return later
            .map_or(found, Ok)
            .map(|principal| Some(principal.clone()));
    }
    Ok(None)
}

/// Whether tokens of `source` stay after they have opened a session.
fn is_kept(site: &Site, source: Source) -> bool {
    source == Source::SsoCookie && site.sso_cookie.as_ref().is_some_and(|cookie| cookie.keep)
}

/// Whether `token` says more than the session that is there: another user, or a later sign-in. One that is kept was there
/// before, so that of another user must be of a later sign-in too.
fn is_news(token: &Principal, session: Option<&Principal>, is_kept: bool) -> bool {
    let issued_at = match &token.verified().claims {
        Claims::Sso(claims) => claims.issued_at,
        Claims::Foreign(claims) => claims.issued_at,
        Claims::Session(_) | Claims::ApiToken(_) => return true,
    };
    let Some((Claims::Session(claims), session)) = session.map(|s| (&s.verified().claims, s))
    else {
        return true;
    };
    (!is_kept && token.user().id != session.user().id)
        || issued_at.seconds() > claims.began_at.seconds()
}

/// What one source came to.
enum Examined {
    Absent,
    Over,
    Good(Principal),
    Bad(TokenError),
}

impl Examined {
    fn good(&self) -> Option<&Principal> {
        match self {
            Self::Good(principal) => Some(principal),
            _ => None,
        }
    }

    /// Present and never to be honoured again. When we merely could not tell, it is kept.
    fn is_dead(&self) -> bool {
        match self {
            Self::Over => true,
            // In a tenant of its own it still counts.
            Self::Bad(error) => !matches!(
                error,
                TokenError::Fault(_)
                    | TokenError::OtherTenant
                    | TokenError::UnknownTenant
                    | TokenError::NoTenant
            ),
            Self::Absent | Self::Good(_) => false,
        }
    }
}

/// Verifies all credentials of one source; with the place of the one that counts, if others beside it do not.
///
/// A browser may hold two cookies of one name, and only the two together come to be mended, so one that is no good does not
/// hold up a good one. Two of different users contradict each other: that is how a cookie is planted. Elsewhere a client names
/// each credential itself, so all must be good. Of too many none is read: they cannot be meant.
async fn examine(
    ctx: &Ctx<'_>,
    source: Source,
    credentials: &[impl AsRef<str>],
) -> (Examined, Option<usize>) {
    match credentials {
        [] => return (Examined::Absent, None),
        [one] => return (examine_one(ctx, source, one.as_ref()).await, None),
        _ if credentials.len() > MAX_OF_ONE_SOURCE => {
            return (Examined::Bad(TokenError::Conflict), None);
        }
        _ => {}
    }
    let mut good: Vec<(usize, Principal)> = Vec::new();
    let (mut has_dead, mut fault) = (false, None);
    let mut others: Option<Examined> = None;
    for (index, credential) in credentials.iter().enumerate() {
        let one = examine_one(ctx, source, credential.as_ref()).await;
        has_dead |= one.is_dead();
        match one {
            Examined::Good(principal) => good.push((index, principal)),
            Examined::Bad(TokenError::Fault(found)) => fault = Some(found),
            Examined::Absent => {}
            one => {
                others = Some(match (others, one) {
                    (None, one) => one,
                    (Some(Examined::Over), Examined::Over) => Examined::Over,
                    _ => Examined::Bad(TokenError::Conflict),
                });
            }
        }
    }
    if let Some(fault) = fault {
        return (Examined::Bad(TokenError::Fault(fault)), None);
    }
    let is_cookie = matches!(source, Source::Session | Source::SsoCookie);
    let all_count = good.len() == credentials.len();
    let newest = good
        .iter()
        .max_by_key(|(index, principal)| (principal.verified().issued_at(), Reverse(*index)));
    let Some((index, principal)) = newest else {
        return (others.unwrap_or(Examined::Absent), None);
    };
    let is_one = good
        .iter()
        .all(|(_, other)| other.user().id == principal.user().id);
    if is_one && (is_cookie || all_count) {
        return (
            Examined::Good(principal.clone()),
            has_dead.then_some(*index),
        );
    }
    (Examined::Bad(TokenError::Conflict), None)
}

async fn examine_one(ctx: &Ctx<'_>, source: Source, credential: &str) -> Examined {
    match verify(ctx, source, credential).await {
        Ok(principal) => Examined::Good(principal),
        Err(error) if error.is_over() => Examined::Over,
        // It was handed over, by the link. A cookie that says so once more holds up nobody.
        Err(TokenError::OnlyLink) if source == Source::SsoCookie => Examined::Over,
        // Signed with a secret, or by a clock, that is ahead of this isolate's: another isolate
        // knows it already, and so will this one. Nothing to hold against it.
        Err(TokenError::NotYet) if source == Source::Session => Examined::Absent,
        Err(error) => Examined::Bad(error),
    }
}
