//! The sign-in page.

use std::rc::Rc;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::gateway_page::{self, Method, PasskeyButton, PasswordFields, SignIn};
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::form::Form;
use crate::credential::browser;
use crate::credential::session::{self, OpenedBy};
use crate::gateway::credentials::{self, Checked};
use crate::gateway::destination::Destination;
use crate::gateway::visit::Visit;
use crate::gateway::{passkey, password};
use crate::model::audit::{Action, Written};
use crate::model::proof::{OF_PROVIDER, PASSKEY, PASSWORD, Proof};
use crate::model::user::User;
use crate::platform::port::{Fault, Pending};
use crate::platform::time::{Seconds, Timestamp};
use crate::rules::step_up::{self, StepUp};
use crate::sign_in::{by_provider, opened};
use crate::site::Source;
use crate::site::provider::Provider;

/// `GET /login/`. Whoever is signed in already goes on at once, unless the page asks for a fresh sign-in (`again`).
///
/// # Errors
/// A fault.
pub(super) async fn show(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let parts = visit.ctx.parts;
    let mode = parts.header("sec-fetch-mode");
    // What nobody opens binds and settles nothing: a page loaded ahead, an image, a look at the head.
    if parts.is_speculative() || mode.is_some_and(|mode| mode != "navigate") {
        return Err(Denial::Speculative);
    }
    if parts.only_looks() {
        return Ok(ask(visit, &Destination::Account, "", None));
    }
    let form = Form::of_query(visit.ctx);
    let destination = match Destination::read(visit, &form).await? {
        Ok(destination) => destination,
        Err(reply) => return Ok(reply),
    };
    let wanted = destination.wanted();
    let session = visit.session();
    let proof = session.and_then(|session| session.proof.as_ref());
    let is_enough = |user: &User| {
        // Who has signed in once more in vain is told so by the site, which asks its rule.
        let in_vain = visit.ctx.presented.rounds.opened;
        let proof = proof.map(|proof| &**proof);
        let is_met = |wanted: &StepUp| {
            wanted.user == user.id && (in_vain || wanted.is_met_by(proof, visit.ctx.now))
        };
        form.field("again").is_none()
            && wanted.is_none_or(is_met)
            && (in_vain || step_up::is_by(destination.methods(), proof))
    };
    match visit.current().await? {
        Some(user) if is_enough(&user) => {
            let granted = session.and_then(|session| session.granted.as_ref());
            destination.enter(visit, &user, (granted, proof)).await
        }
        // With one way to sign in there is nothing to choose.
        _ => Ok(match only_provider(visit, &destination) {
            Some(only) => {
                let place = destination.place();
                Answer::see_other(by_provider::path_to(visit.ctx, only, &place, wanted)).into()
            }
            None => ask(visit, &destination, "", None),
        }),
    }
}

/// The provider by which alone people come to `destination`.
fn only_provider<'a>(visit: &Visit<'a>, destination: &Destination) -> Option<&'a Provider> {
    let asks_here = (visit.gateway.passwords && destination.takes(PASSWORD))
        || (passkey::rp_id(visit).is_some() && destination.takes(PASSKEY));
    let leads =
        |provider: &&'a Rc<Provider>| destination.takes(&[OF_PROVIDER, provider.name()].concat());
    let mut providers = visit.ctx.site.providers.iter().filter(leads);
    let only = providers.next()?;
    (!asks_here && providers.next().is_none()).then_some(only)
}

/// `POST /login/`.
///
/// # Errors
/// [`Denial::CrossOrigin`], why the form cannot be read, or a fault.
pub(super) async fn submit(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let (form, is_own) = visit.read_form().await?;
    let destination = match Destination::read(visit, &form).await? {
        Ok(destination) => destination,
        Err(reply) => return Ok(reply),
    };
    if !is_own {
        // The cookie is gone, or the form is another browser's.
        let error = visit.text("page_too_old");
        return Ok(ask(
            visit,
            &destination,
            "",
            Some((Denial::FormExpired, error)),
        ));
    }
    if form.field("signature").is_some() {
        return match passkey::sign_in(visit, &form).await {
            Ok(user) => enter(visit, &destination, &user, PASSKEY).await,
            Err(denial @ Denial::Passkey(_)) => {
                let error = visit.text("passkey_failed");
                Ok(ask(visit, &destination, "", Some((denial, error))))
            }
            Err(Denial::SignInDelayed(seconds)) => Ok(delayed(visit, &destination, "", seconds)),
            Err(denial) => Err(denial),
        };
    }
    if !visit.gateway.passwords {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let (name, password) = (form.text("username"), form.text("password"));
    if name.trim().is_empty() || password.is_empty() {
        let error = visit.text("fill_in");
        return Ok(ask(
            visit,
            &destination,
            &name,
            Some((Denial::WrongPassword, error)),
        ));
    }
    match credentials::check(visit, &name, &password).await? {
        Checked::Right { user, .. } if destination.is_for_another(&user) => {
            Ok(refuse_other(visit, &destination))
        }
        Checked::Right {
            user,
            must_change: true,
            ..
        } => password::demand_new(visit, &user, &destination).await,
        Checked::Right {
            user,
            must_change: false,
            ..
        } => enter(visit, &destination, &user, PASSWORD).await,
        Checked::Wrong => {
            let error = visit.text("wrong_password");
            Ok(ask(
                visit,
                &destination,
                &name,
                Some((Denial::WrongPassword, error)),
            ))
        }
        Checked::Wait(seconds) => Ok(delayed(visit, &destination, &name, seconds)),
    }
}

/// Sends `user` on, who has just signed in, with a new session. Nobody else takes the place of whoever was to sign in once
/// more.
async fn enter(
    visit: &Visit<'_>,
    destination: &Destination,
    user: &User,
    method: &'static str,
) -> Result<Reply, Denial> {
    if destination.is_for_another(user) {
        return Ok(refuse_other(visit, destination));
    }
    let proof = Rc::new(Proof::own(method, visit.ctx.now));
    // Before anything goes to a service or a site: whoever is sent on has a row.
    let signed_in = audit(visit, user, method).await?;
    let reply = destination.enter(visit, user, (None, Some(&proof))).await?;
    let now = visit.ctx.now;
    Ok(signed_in_at(
        visit,
        user,
        reply,
        (&proof, method),
        now,
        &signed_in,
    ))
}

/// Writes the row of a sign-in at the gateway.
pub(super) fn audit<'a>(
    visit: &Visit<'a>,
    user: &User,
    method: &str,
) -> Pending<'a, Result<Written, Fault>> {
    let row = audited::row(visit.ctx, Action::SignedIn).with("method", method);
    audited::signed_in(visit.ctx, user, row)
}

fn refuse_other(visit: &Visit<'_>, destination: &Destination) -> Reply {
    let error = visit.text("other_user");
    ask(visit, destination, "", Some((Denial::OtherUser, error)))
}

fn delayed(visit: &Visit<'_>, destination: &Destination, name: &str, seconds: Seconds) -> Reply {
    let error = visit.text_with("wait", "{seconds}", &seconds.0.to_string());
    let denial = Denial::SignInDelayed(seconds);
    ask(visit, destination, name, Some((denial, &error)))
}

/// Opens a session for `user` by `method` with `reply`, which begins right after all others have ended, at `limit`.
pub(super) fn signed_in_after(
    visit: &Visit<'_>,
    user: &User,
    reply: Reply,
    (method, limit): (&'static str, Timestamp),
    signed_in: &Written,
) -> Reply {
    let now = Timestamp::from_millis(limit.millis() + 1);
    let proof = Rc::new(Proof::own(method, visit.ctx.now));
    signed_in_at(visit, user, reply, (&proof, method), now, signed_in)
}

/// A new session at each sign-in, whoever was signed in before.
fn signed_in_at(
    visit: &Visit<'_>,
    user: &User,
    mut reply: Reply,
    (proof, method): (&Rc<Proof>, &'static str),
    now: Timestamp,
    signed_in: &Written,
) -> Reply {
    let ctx = visit.ctx;
    let platform = &ctx.world.platform;
    let (claims, cookie) = session::open(
        signed_in,
        &ctx.world.config,
        ctx.site,
        &user.id,
        OpenedBy {
            proof: Some(proof),
            ..OpenedBy::default()
        },
        &*platform.entropy,
        now,
    );
    opened::note(ctx, &claims);
    reply.cookies.push(cookie);
    let keys = &ctx.world.config.keys.session;
    let proof = browser::device_proof(keys, &user.id, &*platform.entropy);
    reply.cookies.push(session::set_device(ctx.site, proof));
    reply.happened = Some(Happened {
        kind: EventKind::SignedIn,
        user: user.id.to_string(),
        source: Source::Session,
        method,
    });
    reply
}

/// The page with the form, and what was wrong with the last attempt.
fn ask(
    visit: &Visit<'_>,
    destination: &Destination,
    name: &str,
    error: Option<(Denial, &str)>,
) -> Reply {
    let words = visit.words;
    let wanted = destination.wanted();
    let takes =
        |method| destination.takes(method) && wanted.is_none_or(|wanted| wanted.takes(method));
    let mut lead = words
        .text(if wanted.is_some() {
            "once_more_lead"
        } else {
            "sign_in_lead"
        })
        .to_owned();
    if let Some(name) = destination.name() {
        if !lead.is_empty() {
            lead.push(' ');
        }
        lead = format!("{lead}{} {name}", words.text("continue_to"));
    }
    let mut fields = vec![("csrf", visit.form_token())];
    fields.extend(destination.fields());
    let row = error.as_ref().map(|(denial, _)| denial.row());
    let has_passkeys = passkey::rp_id(visit).is_some() && takes(PASSKEY);
    let mut methods = Vec::new();
    if visit.gateway.passwords && takes(PASSWORD) {
        let fields = PasswordFields::new(visit.gateway, words, name, has_passkeys);
        methods.push(Method::Password(fields));
    }
    if has_passkeys {
        methods.push(Method::Passkey(PasskeyButton {
            label: words.text("passkey_sign_in"),
            failed: words.text("passkey_failed"),
        }));
    }
    let place = destination.place();
    methods.extend(by_provider::methods(
        visit.ctx,
        &place,
        wanted,
        &|provider| destination.takes(provider),
    ));
    let is_limited = methods.is_empty() || wanted.is_some_and(|wanted| wanted.methods == [PASSKEY]);
    let content = SignIn {
        lead: &lead,
        note: if is_limited {
            words.text("no_method")
        } else {
            ""
        },
        error: error.as_ref().map(|(_, text)| *text),
        is_wrong: matches!(error, Some((Denial::WrongPassword, _))),
        fields,
        methods,
        form_to: destination.origin(),
    };
    let frame = visit.frame(words.text("sign_in"), row.map_or("", |row| row.code));
    let mut answer = gateway_page::sign_in(row.map_or(200, |row| row.status), &frame, content);
    if let Some((denial, _)) = &error
        && let Some(seconds) = denial.retry_after()
    {
        answer = answer.with("retry-after", seconds.to_string());
    }
    Reply {
        refused: error.map(|(denial, _)| denial),
        ..Reply::from(answer)
    }
}
