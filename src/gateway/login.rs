//! The sign-in page.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::gateway_page::{self, Method, PasskeyButton, PasswordFields, SignIn};
use crate::answer::reply::Reply;
use crate::ask::form::Form;
use crate::credential::browser;
use crate::credential::session;
use crate::gateway::credentials::{self, Checked};
use crate::gateway::destination::Destination;
use crate::gateway::visit::Visit;
use crate::gateway::{passkey, password};
use crate::model::user::User;
use crate::platform::time::{Seconds, Timestamp};
use crate::sign_in::{by_provider, opened};
use crate::site::Source;

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
    match visit.current().await? {
        Some(user) if form.field("again").is_none() => {
            let granted = visit.session().and_then(|session| session.granted.as_ref());
            destination.enter(visit, &user, granted).await
        }
        // With one way to sign in there is nothing to choose.
        _ => Ok(match &*visit.ctx.site.providers {
            [only] if !visit.gateway.passwords && passkey::rp_id(visit).is_none() => {
                let place = destination.place();
                Answer::see_other(by_provider::path_to(visit.ctx, only, &place)).into()
            }
            _ => ask(visit, &destination, "", None),
        }),
    }
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
            Ok(user) => {
                let reply = destination.enter(visit, &user, None).await?;
                Ok(signed_in(visit, &user, reply))
            }
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
        Checked::Right {
            user,
            must_change: true,
            ..
        } => password::demand_new(visit, &user, &destination).await,
        Checked::Right {
            user,
            must_change: false,
            ..
        } => {
            let reply = destination.enter(visit, &user, None).await?;
            Ok(signed_in(visit, &user, reply))
        }
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

fn delayed(visit: &Visit<'_>, destination: &Destination, name: &str, seconds: Seconds) -> Reply {
    let error = visit.text_with("wait", "{seconds}", &seconds.0.to_string());
    let denial = Denial::SignInDelayed(seconds);
    ask(visit, destination, name, Some((denial, &error)))
}

/// Opens a session for `user` with `reply`: a new one at each sign-in, whoever was signed in before.
pub(super) fn signed_in(visit: &Visit<'_>, user: &User, reply: Reply) -> Reply {
    signed_in_at(visit, user, reply, visit.ctx.now)
}

/// The same for a session that begins right after all others have ended, at `limit`.
pub(super) fn signed_in_after(
    visit: &Visit<'_>,
    user: &User,
    reply: Reply,
    limit: Timestamp,
) -> Reply {
    let now = Timestamp::from_millis(limit.millis() + 1);
    signed_in_at(visit, user, reply, now)
}

fn signed_in_at(visit: &Visit<'_>, user: &User, mut reply: Reply, now: Timestamp) -> Reply {
    let ctx = visit.ctx;
    let platform = &ctx.world.platform;
    let (claims, cookie) = session::open(
        &ctx.world.config,
        ctx.site,
        &user.id,
        None,
        None,
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
    let brand = visit.brand();
    let mut lead = brand.text("sign_in_lead").to_owned();
    if let Some(name) = destination.name() {
        if !lead.is_empty() {
            lead.push(' ');
        }
        lead = format!("{lead}{} {name}", brand.text("continue_to"));
    }
    let mut fields = vec![("csrf", visit.form_token())];
    fields.extend(destination.fields());
    let row = error.as_ref().map(|(denial, _)| denial.row());
    let has_passkeys = passkey::rp_id(visit).is_some();
    let mut methods = Vec::new();
    if visit.gateway.passwords {
        let fields = PasswordFields::new(visit.gateway, name, has_passkeys);
        methods.push(Method::Password(fields));
    }
    if has_passkeys {
        methods.push(Method::Passkey(PasskeyButton {
            label: brand.text("passkey_sign_in"),
            failed: brand.text("passkey_failed"),
        }));
    }
    methods.extend(by_provider::methods(visit.ctx, &destination.place()));
    let content = SignIn {
        lead: &lead,
        error: error.as_ref().map(|(_, text)| *text),
        is_wrong: matches!(error, Some((Denial::WrongPassword, _))),
        fields,
        methods,
        form_to: destination.origin(),
    };
    let frame = visit.frame(brand.text("sign_in"), row.map_or("", |row| row.code));
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
