//! The page on which a password is changed, or set by a link.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::gateway_page::{self, Password};
use crate::answer::page::LinkButton;
use crate::answer::reply::Reply;
use crate::ask::audited::{self, Act};
use crate::ask::form::Form;
use crate::gateway::credentials::{self, Checked, Unfit};
use crate::gateway::destination::{Destination, user_of};
use crate::gateway::visit::Visit;
use crate::gateway::{link, login};
use crate::model::audit::{Action, Written};
use crate::model::password;
use crate::model::proof::{LINK, PASSWORD};
use crate::model::user::User;
use crate::people;
use crate::platform::port::{Fault, PasswordHash};
use crate::platform::time::Timestamp;
use crate::store::passwords::Passwords;
use crate::store::tickets::{SIGN_IN, Ticket, TicketError, TicketFor};

/// Asks for a new password in place of one that has to be changed. Nobody is signed in before that.
///
/// # Errors
/// A fault.
pub(super) async fn demand_new(
    visit: &Visit<'_>,
    user: &User,
    destination: &Destination,
) -> Result<Reply, Denial> {
    let ctx = visit.ctx;
    let next = format!("/login/{}", destination.query());
    let (token, _) = link::issue(ctx.world, user, &next, SIGN_IN, ctx.now).await?;
    let lead = visit.text("must_change_lead");
    let fields = vec![("csrf", visit.form_token()), ("token", token)];
    let content = Password {
        lead,
        error: None,
        is_unfit: false,
        fields,
        account: visit.name_of(user),
        asks_current: false,
        form_to: destination.origin(),
    };
    let frame = visit.frame(visit.text("set_password"), "");
    Ok(gateway_page::password(200, &frame, content).into())
}

/// `GET /password/`, with the token of a link or signed in.
///
/// # Errors
/// A fault.
pub(super) async fn show(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let form = Form::of_query(visit.ctx);
    match form.field("token") {
        Some(token) => match open_link(visit, &token).await? {
            Ok(held) => {
                let form_to = leads_to(visit, &held.ticket).await?;
                let link = Some((&*token, form_to.as_deref()));
                Ok(ask(visit, &held.user, link, None))
            }
            Err(reply) => Ok(reply),
        },
        None => match &visit.principal {
            Some(principal) => Ok(ask(visit, principal.user(), None, None)),
            None => Ok(Answer::see_other("/login/".to_owned()).into()),
        },
    }
}

/// `POST /password/`.
///
/// # Errors
/// [`Denial::CrossOrigin`], why the form cannot be read, or a fault.
pub(super) async fn submit(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let (form, is_own) = visit.read_form().await?;
    if !is_own {
        let denial = Denial::FormExpired;
        let lead = visit.text("page_too_old");
        return Ok(visit.refuse(denial, visit.text("change_password"), lead, None));
    }
    match form.field("token") {
        Some(token) => by_link(visit, &form, &token).await,
        None => by_current(visit, &form).await,
    }
}

async fn by_link(visit: &Visit<'_>, form: &Form, token: &str) -> Result<Reply, Denial> {
    let OpenedLink {
        user,
        ticket,
        current,
    } = match open_link(visit, token).await? {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let ctx = visit.ctx;
    let world = ctx.world;
    let (gateway, new) = (visit.gateway, form.text("new"));
    let hash = match credentials::hash(world, &user, gateway, &new, current.as_ref()).await? {
        Ok(hash) => hash,
        Err(unfit) => {
            let form_to = leads_to(visit, &ticket).await?;
            let link = Some((token, form_to.as_deref()));
            return Ok(ask(visit, &user, link, Some(unfit)));
        }
    };
    // Claimed for this browser before the password is stored, and used up after that: of several browsers one sets a
    // password, and when its request ends half-way, it sends the form again.
    let browser = visit.browser_hash();
    let claimed = visit
        .tickets()
        .change(token, |ticket| match &ticket.browser {
            Some(other) if *other != browser => Err(TicketError::Taken),
            _ => {
                ticket.browser = Some(browser.clone());
                Ok(())
            }
        })
        .await;
    if let Err(error) = claimed {
        return over(visit, error);
    }
    let row = audited::of_person(ctx, Action::PasswordSet, &user).with("method", LINK);
    let act = audited::begin(ctx, row).await?;
    let (signed_in, limit) = set(visit, &user, hash, LINK, act).await?;
    if let Err(error) = visit.tickets().use_up(token, |_| Ok(())).await {
        return over(visit, error);
    }
    let next = if ticket.next_url.is_empty() {
        "/account/"
    } else {
        &ticket.next_url
    };
    let reply = Reply::from(Answer::see_other(next.to_owned()));
    Ok(login::signed_in_after(
        visit,
        &user,
        reply,
        (LINK, limit),
        &signed_in,
    ))
}

/// Sets the password, which ends all sessions, and writes the row of the sign-in that follows by `method`. Sessions that begin
/// right after the returned moment count.
async fn set(
    visit: &Visit<'_>,
    user: &User,
    hash: String,
    method: &str,
    act: Act,
) -> Result<(Written, Timestamp), Denial> {
    let (ctx, id) = (visit.ctx, &user.id);
    let done = async {
        let row = audited::row(ctx, Action::SignedIn).with("method", method);
        let signed_in = audited::signed_in_by_act(ctx, &act, user, row).await?;
        let put = credentials::put_and_end(act.written(), ctx.world, id, hash, false, ctx.now);
        Ok((signed_in, put.await?))
    }
    .await;
    act.end(ctx, done.as_ref().err()).await;
    done
}

async fn by_current(visit: &Visit<'_>, form: &Form) -> Result<Reply, Denial> {
    let Some(principal) = &visit.principal else {
        return Ok(Answer::see_other("/login/".to_owned()).into());
    };
    let user = principal.user();
    let ctx = visit.ctx;
    let checked = credentials::check(visit, visit.name_of(user), &form.text("current")).await?;
    let current = match checked {
        Checked::Right {
            user: checked,
            hash,
            ..
        } if checked.id == user.id => hash,
        Checked::Wait(seconds) => {
            return Ok(ask(visit, user, None, Some(Unfit::Busy(seconds))));
        }
        _ => return Ok(ask(visit, user, None, Some(Unfit::WrongCurrent))),
    };
    let (gateway, new) = (visit.gateway, form.text("new"));
    let hash = match credentials::hash(ctx.world, user, gateway, &new, Some(&current)).await? {
        Ok(hash) => hash,
        Err(unfit) => return Ok(ask(visit, user, None, Some(unfit))),
    };
    let row = audited::of_person(ctx, Action::PasswordSet, user).with("method", PASSWORD);
    let act = audited::begin(ctx, row).await?;
    let (signed_in, limit) = set(visit, user, hash, PASSWORD, act).await?;
    let reply = visit.inform(
        200,
        visit.text("change_password"),
        "",
        visit.text("password_changed"),
        Some(LinkButton {
            label: visit.text("account").to_owned(),
            href: "/account/".to_owned(),
        }),
    );
    Ok(login::signed_in_after(
        visit,
        user,
        reply,
        (PASSWORD, limit),
        &signed_in,
    ))
}

/// A link that is not over: whose password it sets.
struct OpenedLink {
    user: User,
    ticket: Ticket,
    /// The password that the link replaces.
    current: Option<PasswordHash>,
}

/// The user of a link, as the writer of the record knows the user, or the page that says that the link is over.
async fn open_link(visit: &Visit<'_>, token: &str) -> Result<Result<OpenedLink, Reply>, Denial> {
    let ticket = match visit.tickets().find(token).await {
        Ok(ticket) if ticket.purpose == TicketFor::Password => ticket,
        Err(TicketError::Fault(fault)) => return Err(fault.into()),
        _ => return Ok(Err(link_over(visit))),
    };
    let Some(id) = user_of(&ticket) else {
        return Ok(Err(link_over(visit)));
    };
    let world = visit.ctx.world;
    let user = people::newest(world, &id).await?;
    // A password that was set since then makes every older link void.
    let held = Passwords(&*world.platform.records).read(&id).await?;
    let is_older = |set_at| Some(set_at) > ticket.settled_at;
    // But for the browser that has set it by this very link and got no answer.
    let is_its_own = ticket.browser.as_ref() == Some(&visit.browser_hash());
    let stored = held.password;
    let is_set_since = stored
        .as_ref()
        .is_some_and(|stored| is_older(stored.set_at));
    let user = user.filter(|user| user.active && (is_its_own || !is_set_since));
    let Some(user) = user else {
        return Ok(Err(link_over(visit)));
    };
    // That browser may send the same form again.
    let replaced = stored.filter(|_| !is_set_since);
    let current = replaced
        .map(|stored| password::parse(&stored.hash).map_err(|_| Fault::Record))
        .transpose()?;
    Ok(Ok(OpenedLink {
        user,
        ticket,
        current,
    }))
}

/// The page for a link that could not be used, unless that is a fault.
fn over(visit: &Visit<'_>, error: TicketError) -> Result<Reply, Denial> {
    match error {
        TicketError::Fault(fault) => Err(fault.into()),
        TicketError::Gone | TicketError::Taken => Ok(link_over(visit)),
    }
}

fn link_over(visit: &Visit<'_>) -> Reply {
    let denial = Denial::SignInOver;
    visit.refuse(
        denial,
        visit.text("set_password"),
        visit.text("link_over"),
        None,
    )
}

/// The origin to which the sign-in goes on that a link interrupts: browsers hold redirects after a form to `form-action`.
async fn leads_to(visit: &Visit<'_>, ticket: &Ticket) -> Result<Option<String>, Denial> {
    if !ticket.next_url.starts_with("/login/?") {
        return Ok(None);
    }
    let destination = Destination::read(visit, &Form::of_url(&ticket.next_url)).await?;
    Ok(destination
        .ok()
        .and_then(|destination| destination.origin().map(str::to_owned)))
}

/// The page with the form, and why the last password was not taken. `link`: the token of a link, and the origin to which
/// the form leads.
fn ask(
    visit: &Visit<'_>,
    user: &User,
    link: Option<(&str, Option<&str>)>,
    unfit: Option<Unfit>,
) -> Reply {
    let (token, form_to) = (
        link.map(|(token, _)| token),
        link.and_then(|(_, form_to)| form_to),
    );
    let title = if token.is_some() {
        "set_password"
    } else {
        "change_password"
    };
    let complaint = unfit.map(|unfit| explain(visit, unfit));
    let mut fields = vec![("csrf", visit.form_token())];
    fields.extend(token.map(|token| ("token", token.to_owned())));
    let content = Password {
        lead: "",
        error: complaint.as_ref().map(|complaint| complaint.text.as_str()),
        is_unfit: complaint
            .as_ref()
            .is_some_and(|complaint| complaint.is_unfit),
        fields,
        account: visit.name_of(user),
        asks_current: token.is_none(),
        form_to,
    };
    let row = complaint.as_ref().map(|complaint| complaint.denial.row());
    let frame = visit.frame(visit.text(title), row.map_or("", |row| row.code));
    let status = row.map_or(200, |row| row.status);
    let page = gateway_page::password(status, &frame, content);
    Reply {
        refused: complaint.map(|complaint| complaint.denial),
        ..Reply::from(page)
    }
}

/// Why a password was not taken.
struct Complaint {
    text: String,
    denial: Denial,
    /// Whether the new password is to blame.
    is_unfit: bool,
}

fn explain(visit: &Visit<'_>, unfit: Unfit) -> Complaint {
    let text = |name: &'static str| visit.text(name).to_owned();
    let invalid = Denial::InvalidField("password");
    let (text, denial, is_unfit) = match unfit {
        Unfit::Busy(seconds) => (
            visit.text_with("wait", "{seconds}", &seconds.0.to_string()),
            Denial::SignInDelayed(seconds),
            false,
        ),
        Unfit::WrongCurrent => (text("wrong_current"), Denial::WrongPassword, false),
        Unfit::TooShort => (text("too_short"), invalid, true),
        Unfit::TooLong => (text("too_long"), invalid, true),
        Unfit::Common => (text("too_common"), invalid, true),
        Unfit::Unchanged => (text("unchanged"), Denial::SamePassword, true),
    };
    Complaint {
        text,
        denial,
        is_unfit,
    }
}
