//! The page with a person's account: what they may enter, and where they are signed in.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::gateway_page::{self, Account, SessionRow};
use crate::answer::page::LinkButton;
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::form::Form;
use crate::credential::session;
use crate::gateway::destination::find_service;
use crate::gateway::passkey;
use crate::gateway::visit::Visit;
use crate::http::{cursor, query};
use crate::model::audit::Action;
use crate::passkey::PasskeyError;
use crate::people::{self, services, sessions};
use crate::store::sessions::SessionRecord;
use crate::store::tickets::TicketFor;

/// The most sessions that one page shows.
const SESSIONS_SHOWN: u32 = 50;

/// `GET /welcome/`: who is signed in. With `fallback=true`, the service that asked for the sign-in did not answer.
///
/// # Errors
/// A fault.
pub(super) async fn welcome(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let form = Form::of_query(visit.ctx);
    if form.field("fallback").is_some() {
        return fallback(visit, &form).await;
    }
    let title = visit.text("welcome");
    let Some(principal) = &visit.principal else {
        let action = LinkButton {
            label: visit.text("sign_in").to_owned(),
            href: "/login/".into(),
        };
        return Ok(visit.inform(200, title, "", visit.text("not_signed_in"), Some(action)));
    };
    let name = visit.name_of(principal.user());
    let lead = format!("{} {name}", visit.text("signed_in_as"));
    let action = LinkButton {
        label: visit.text("account").to_owned(),
        href: "/account/".into(),
    };
    Ok(visit.inform(200, title, "", &lead, Some(action)))
}

/// Offers to try again what the service did not take.
async fn fallback(visit: &Visit<'_>, form: &Form) -> Result<Reply, Denial> {
    let token = form.text("sso");
    let browser = visit.browser_hash();
    // The name of a service is told to nobody but the browser that signs in there.
    let ticket = visit.tickets().find(&token).await;
    let ticket = ticket
        .ok()
        .filter(|ticket| ticket.browser.as_ref() == Some(&browser));
    let service = match ticket.map(|ticket| ticket.purpose) {
        Some(TicketFor::Service(id)) => find_service(visit, &id).await?,
        _ => None,
    };
    let (lead, action) = match service {
        Some(service) => {
            let try_again = LinkButton {
                label: visit.text("try_again").to_owned(),
                href: format!("/login/?sso={}", query::encode(&token)),
            };
            let lead = visit.text_with("fallback", "{service}", service.name.as_str());
            (lead, Some(try_again))
        }
        None => (visit.text("request_over_lead").to_owned(), None),
    };
    let title = visit.text("fallback_title");
    Ok(visit.inform(200, title, "service_unavailable", &lead, action))
}

/// `GET /account/`. `sessions`: the cursor of a further page of sessions.
///
/// # Errors
/// A fault.
pub(super) async fn show(
    visit: &Visit<'_>,
    notice: Option<&str>,
    refused: Option<Denial>,
) -> Result<Reply, Denial> {
    let Some(principal) = &visit.principal else {
        return Ok(Answer::see_other("/login/".to_owned()).into());
    };
    let user = principal.user();
    let world = visit.ctx.world;
    let all = services::known(world, visit.ctx.now).await?;
    let applications = all.iter().filter(|service| service.admits(user));
    let applications = applications
        .map(|service| {
            (
                service.name.as_str().to_owned(),
                format!("{}/", service.base_url),
            )
        })
        .collect();
    let wanted = Form::of_query(visit.ctx).text("sessions");
    let wanted = cursor::read(&wanted);
    let is_first = wanted.is_none();
    let page = sessions::page(world, user, wanted, SESSIONS_SHOWN).await?;
    let sessions = page.records.into_iter().map(|record| row(visit, record));
    let content = Account {
        notice,
        account: visit.name_of(user),
        applications,
        sessions: sessions.collect(),
        is_first,
        next: page.cursor.map(|next| cursor::write(&next)),
        passkeys: passkey::rows(visit, user).await?,
        csrf: visit.form_token(),
    };
    let (status, code) = refused.as_ref().map_or((200, ""), |denial| {
        let row = denial.row();
        (row.status, row.code)
    });
    let frame = visit.frame(visit.text("account"), code);
    let answer = gateway_page::account(status, &frame, content);
    Ok(Reply {
        refused,
        ..Reply::from(answer)
    })
}

fn row(visit: &Visit<'_>, record: SessionRecord) -> SessionRow {
    let site = visit.ctx.world.config.site_named(&record.site);
    let site = match site {
        Some(site) => site.brand.name.clone(),
        None => record.site,
    };
    SessionRow {
        is_this: visit
            .session()
            .is_some_and(|session| session.id == record.id),
        id: record.id,
        site,
        browser: record.browser,
        opened_at: record.opened_at,
    }
}

/// `POST /account/`: ends one session, or all; adds, renames or removes a passkey.
///
/// # Errors
/// [`Denial::CrossOrigin`], why the form cannot be read, or a fault.
pub(super) async fn submit(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let Some(principal) = &visit.principal else {
        return Ok(Answer::see_other("/login/".to_owned()).into());
    };
    let (form, is_own) = visit.read_form().await?;
    if !is_own {
        return show(visit, Some(visit.text("page_too_old")), None).await;
    }
    let user = principal.user();
    let action = form.text("action");
    if action.ends_with("_passkey") {
        return match passkey::change(visit, &form, &action).await {
            Ok(()) => Ok(Answer::see_other("/account/".to_owned()).into()),
            Err(Denial::Passkey(error)) => {
                let text = match error {
                    PasskeyError::LastWay => "passkey_last",
                    PasskeyError::NotFresh => "passkey_again",
                    PasskeyError::TooMany => "passkey_too_many",
                    _ => "passkey_failed",
                };
                show(visit, Some(visit.text(text)), Some(error.into())).await
            }
            Err(denial) => Err(denial),
        };
    }
    if action == "end_all" {
        people::end_sessions(visit.ctx.world, &user.id, None, visit.ctx.now).await?;
        let row = audited::of_person(visit.ctx, Action::SessionsEnded, user);
        audited::note(visit.ctx, row).await;
        let mut reply = Reply::from(Answer::see_other("/login/".to_owned()));
        reply.cookies.extend(session::clear_all(visit.ctx.site));
        return Ok(reply);
    }
    // Nobody ends a session of somebody else.
    let (world, wanted) = (visit.ctx.world, form.text("session"));
    if sessions::end(world, &user.id, &wanted, visit.ctx.now).await? {
        let row = audited::of_person(visit.ctx, Action::SessionsEnded, user);
        audited::note(visit.ctx, row).await;
    }
    Ok(Answer::see_other("/account/".to_owned()).into())
}
