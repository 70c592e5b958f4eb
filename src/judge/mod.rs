//! The judgement: who is asking, and may they? The only place with the order of steps 4 and 5. Sinks use the
//! result: `pipeline::deliver` forwards it, `admin::explain` reports it.

use std::rc::Rc;

use crate::access::grant::{self, Grant};
use crate::access::{cors, same_origin};
use crate::answer::denial::Denial;
use crate::answer::event::SignedIn;
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::source::Caller;
use crate::authn::{self, Authentication};
use crate::credential::session::{self, SetCookie};
use crate::credential::verified::Claims;
use crate::jose::error::TokenError;
use crate::rules;
use crate::sign_in::arrive::{self, Arrival};

/// A request that may pass. Made here alone, of a [`Grant`].
pub struct Judged {
    grant: Grant,
    cookies: Vec<SetCookie>,
    signed_in: Option<SignedIn>,
}

impl Judged {
    /// The proof that a rule let it pass.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The grant, cookies for the way back, and who was signed in by this request.
    #[must_use]
    pub fn into_parts(self) -> (Grant, Vec<SetCookie>, Option<SignedIn>) {
        (self.grant, self.cookies, self.signed_in)
    }
}

/// What a judgement came to, if it is no denial.
pub enum Judgement {
    /// It may pass.
    Passes(Judged),
    /// It is answered before any rule is asked: a clean URL, a question, a preflight.
    Answered(Reply),
}

/// Methods that are about the connection, or that show a request to a page (RFC 9110 §9.3).
const REFUSED_METHODS: [&str; 3] = ["TRACE", "CONNECT", "TRACK"];

/// Judges a request for a path of a site. Whatever the result, the returned cookies clear those that have expired.
pub async fn judge(ctx: &Ctx<'_>) -> (Vec<SetCookie>, Result<Judgement, Denial>) {
    match identify(ctx).await {
        Ok((authentication, stale)) => (stale, decide(ctx, authentication).await),
        Err(denial) => (Vec::new(), Err(denial)),
    }
}

/// Step 4: verifies the credentials, and says which cookies are to be cleared.
///
/// # Errors
/// [`Denial::Speculative`], before anything is claimed or opened.
pub async fn identify(ctx: &Ctx<'_>) -> Result<(Authentication, Vec<SetCookie>), Denial> {
    let Ctx {
        site,
        parts,
        presented,
        ..
    } = *ctx;
    let is_anonymous = ctx.asked.preflight || (ctx.rule.is_public() && !parts.is_navigation());
    if !is_anonymous && !presented.query.is_empty() && parts.is_speculative() {
        return Err(Denial::Speculative);
    }
    let authentication = if is_anonymous {
        Authentication::anonymous()
    } else {
        authn::authenticate(ctx).await
    };
    if let Ok(Some(principal)) = &authentication.result {
        let _ = presented.caller.set(Caller {
            user: Rc::clone(principal.user()),
            source: principal.source(),
            verified: Rc::clone(principal.verified()),
        });
    }
    let dead = if authentication.clear_session {
        presented.session.len()
    } else {
        0
    };
    let mut stale = session::clear_presented(site, dead, authentication.clear_sso_cookie);
    mend(ctx, &authentication, &mut stale);
    Ok((authentication, stale))
}

/// Leaves one of several cookies of one name, if one of them counts.
fn mend(ctx: &Ctx<'_>, authentication: &Authentication, cookies: &mut Vec<SetCookie>) {
    if ctx.is_dry() {
        return;
    }
    let session = authentication.session.as_ref();
    if authentication.mend_session
        && let Some(Claims::Session(claims)) = session.map(|session| &session.verified().claims)
    {
        cookies.extend(session::keep_only(
            &ctx.world.config,
            ctx.site,
            claims,
            ctx.now,
        ));
    }
    if let Some((index, expires_at)) = authentication.mend_sso_cookie
        && let Some(token) = ctx.presented.sso_cookie.get(index)
    {
        cookies.extend(session::keep_only_sso(ctx.site, token, expires_at, ctx.now));
    }
}

/// Step 5, for whoever step 4 has found.
async fn decide(ctx: &Ctx<'_>, authentication: Authentication) -> Result<Judgement, Denial> {
    let Ctx {
        site, parts, rule, ..
    } = *ctx;
    if REFUSED_METHODS
        .iter()
        .any(|refused| parts.method().eq_ignore_ascii_case(refused))
    {
        return Err(Denial::MethodRefused);
    }
    if let (true, Some(cors)) = (ctx.asked.preflight, &site.cors) {
        return cors::answer_preflight(cors, parts)
            .map(|answer| Judgement::Answered(answer.into()));
    }
    let anonymously = continues_anonymously(ctx, &authentication);
    let arrival = arrive::arrive(ctx, &authentication, anonymously).await?;
    let absence = match &authentication.result {
        Ok(_) => authentication.absence(),
        Err(error) => Denial::from(*error),
    };
    let principal = match authentication.result {
        Err(_) if anonymously => None,
        result => result.map_err(Denial::from)?,
    };
    let opened = |cookies: &[SetCookie]| {
        let signed_in = principal
            .as_ref()
            .filter(|_| cookies.iter().any(|cookie| session::opens(cookie, site)));
        signed_in.map(|principal| SignedIn {
            user: principal.user().id.to_string(),
            source: principal.source(),
        })
    };
    let cookies = match arrival {
        Arrival::Answer(answer, cookies) => {
            let happened = opened(&cookies).map(Into::into);
            return Ok(Judgement::Answered(Reply {
                answer,
                cookies,
                happened,
                refused: None,
            }));
        }
        Arrival::Proceed(cookies) => cookies,
    };
    let signed_in = opened(&cookies);
    if let Some(principal) = principal.as_ref().filter(|_| !rule.is_public()) {
        same_origin::check_by_source(principal.source(), parts, site)?;
    }
    let user = principal.as_ref().map(|one| Rc::clone(one.user()));
    let user = user.as_ref().map(|user| &user.id);
    for (asked, rule) in ctx.also {
        let subject = principal.as_ref().map(|one| one.subject(ctx.now));
        rules::evaluate(rule, asked, subject.as_ref())
            .map_err(|refusal| Denial::of_rule(refusal, absence.clone(), rule, user))?;
    }
    let grant = grant::decide(rule, &ctx.asked, principal, ctx.now)
        .map_err(|refusal| Denial::of_rule(refusal, absence, rule, user))?;
    Ok(Judgement::Passes(Judged {
        grant,
        cookies,
        signed_in,
    }))
}

/// Whether a browser whose credential was not accepted may continue anonymously: where anonymous
/// callers pass, a bad cookie must not lock a browser out. A disabled user is told so, and an API
/// client always learns that its credential is bad.
fn continues_anonymously(ctx: &Ctx<'_>, authentication: &Authentication) -> bool {
    let forgivable = match &authentication.result {
        Ok(principal) => principal.is_none(),
        Err(TokenError::Fault(_) | TokenError::DisabledUser) => false,
        Err(_) => true,
    };
    // A public path stays public for a browser even if its credential could not be verified at all.
    ctx.parts.is_navigation()
        && (ctx.rule.is_public() || (forgivable && ctx.rule.admits_anonymous()))
}
