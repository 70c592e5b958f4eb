//! Where a person goes after signing in: to the service or the site that asked for it, or to the gateway's own pages.

use std::rc::Rc;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::page::LinkButton;
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::ask::source::ATTEMPT;
use crate::gateway::visit::Visit;
use crate::http::query;
use crate::model::audit::Action;
use crate::model::claim::Granted;
use crate::model::proof::Proof;
use crate::model::service::{Service, ServiceId};
use crate::model::service_event::Writer;
use crate::model::user::{User, UserId};
use crate::people;
use crate::people::services::{self, queued};
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::OutboxCall;
use crate::rules::step_up::{self, StepUp};
use crate::site::{Login, Site};
use crate::store::services::Services;
use crate::store::tickets::{SIGN_IN, Ticket, TicketError, TicketFor};

/// How long a sign-in waits for the service to take the account.
const PATIENCE_MS: u32 = 5_000;

/// Where a person goes after signing in.
pub(super) enum Destination {
    /// A service, by the token of its request.
    Service {
        token: String,
        service: Box<Service>,
    },
    /// A site, and a hash of the browser that it has sent here.
    Site {
        site: Rc<Site>,
        return_to: ReturnTo,
        state: String,
        /// What the site wants, if its person is to sign in once more.
        wanted: Option<StepUp>,
    },
    /// The page with the account.
    Account,
}

impl Destination {
    /// Reads it from the query or the form of the sign-in page. The page with the reason if it is of no use.
    ///
    /// # Errors
    /// A fault.
    pub(super) async fn read(
        visit: &Visit<'_>,
        form: &Form,
    ) -> Result<Result<Self, Reply>, Denial> {
        if let Some(token) = form.field("sso").filter(|token| !token.is_empty()) {
            return Self::of_service(visit, token).await;
        }
        let config = &visit.ctx.world.config;
        let scheme = visit.ctx.parts.scheme();
        let wanted = form.text("return_to");
        let state = form.text("state");
        // Anything else that is asked for leads to the account: nobody is sent where no site is.
        let at_site = ReturnTo::parse_at_site(&wanted, scheme, config)
            .filter(|(site, _)| is_hash(&state) && matches!(site.login, Some(Login::Gateway)));
        Ok(Ok(match at_site {
            Some((site, return_to)) => Self::Site {
                site,
                return_to,
                state,
                wanted: StepUp::read(|name| form.field(name)),
            },
            None => Self::Account,
        }))
    }

    /// Binds the request of a service to this browser. One that has no id yet may never get the answer that gives it one:
    /// it is bound when it sends the form, and can load the page again until then.
    async fn of_service(visit: &Visit<'_>, token: String) -> Result<Result<Self, Reply>, Denial> {
        let browser = visit.browser_hash();
        let is_certain = !visit.is_new() || visit.principal.is_some();
        let bound = visit
            .tickets()
            .change(&token, |ticket| match &ticket.browser {
                _ if !matches!(ticket.purpose, TicketFor::Service(_)) => Err(TicketError::Gone),
                Some(other) if *other != browser => Err(TicketError::Taken),
                None if !is_certain => Ok(()),
                _ => {
                    ticket.browser = Some(browser.clone());
                    Ok(())
                }
            })
            .await;
        let ticket = match bound {
            Ok(ticket) => ticket,
            Err(error) => return over(visit, error).map(Err),
        };
        let service = match &ticket.purpose {
            TicketFor::Service(id) => find_service(visit, id).await?,
            TicketFor::Site(_) | TicketFor::SignOut(_) | TicketFor::Password => None,
        };
        Ok(match service {
            Some(service) => Ok(Self::Service {
                token,
                service: Box::new(service),
            }),
            None => Err(over(visit, TicketError::Gone)?),
        })
    }

    /// Hidden fields that carry it through a form.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Service { token, .. } => vec![("sso", token.clone())],
            Self::Site {
                return_to,
                state,
                wanted,
                ..
            } => {
                let mut fields = vec![
                    ("return_to", return_to.as_str().to_owned()),
                    ("state", state.clone()),
                ];
                fields.extend(wanted.iter().flat_map(StepUp::fields));
                fields
            }
            Self::Account => Vec::new(),
        }
    }

    /// The query of the sign-in page that leads there.
    pub(super) fn query(&self) -> String {
        let fields = self.fields();
        if fields.is_empty() {
            return String::new();
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        ["?", &query::form(&fields)].concat()
    }

    /// The path of the sign-in page that leads there. Whoever comes back to it from a sign-in that was to be a particular one
    /// has an address that tells of it.
    pub(super) fn place(&self) -> String {
        let is_particular = self.wanted().is_some() || !self.methods().is_empty();
        let mark = if is_particular {
            ["&", ATTEMPT, "=1"].concat()
        } else {
            String::new()
        };
        ["/login/", &self.query(), &mark].concat()
    }

    /// What a site wants whose person is to sign in once more.
    pub(super) const fn wanted(&self) -> Option<&StepUp> {
        match self {
            Self::Site { wanted, .. } => wanted.as_ref(),
            Self::Service { .. } | Self::Account => None,
        }
    }

    /// By which methods people come there; by any, if there is none.
    pub(super) fn methods(&self) -> &[String] {
        match self {
            Self::Site { site, .. } => &site.methods,
            Self::Service { .. } | Self::Account => &[],
        }
    }

    /// Whether people come there by the method of this name.
    pub(super) fn takes(&self, name: &str) -> bool {
        step_up::includes(self.methods(), name)
    }

    /// Whether it is somebody else who is to sign in once more.
    pub(super) fn is_for_another(&self, user: &User) -> bool {
        self.wanted().is_some_and(|wanted| wanted.user != user.id)
    }

    /// Where redirects after a form lead, for `form-action`.
    pub(super) fn origin(&self) -> Option<&str> {
        match self {
            Self::Service { service, .. } => Some(service.origin()),
            Self::Site { return_to, .. } => Some(return_to.origin()),
            Self::Account => None,
        }
    }

    /// What the sign-in page says that a person goes on to.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Service { service, .. } => Some(service.name.as_str()),
            Self::Site { site, .. } => Some(&site.address),
            Self::Account => None,
        }
    }

    /// Sends the person there as `user`, with what the provider has granted at which the person has signed in, and how and
    /// when that was.
    ///
    /// # Errors
    /// A fault.
    pub(super) async fn enter(
        &self,
        visit: &Visit<'_>,
        user: &User,
        (granted, proof): (Option<&Rc<Granted>>, Option<&Rc<Proof>>),
    ) -> Result<Reply, Denial> {
        match self {
            Self::Service { token, service } => enter_service(visit, token, service, user).await,
            Self::Site {
                site,
                return_to,
                state,
                ..
            } => {
                let now = visit.ctx.now;
                let mut ticket = Ticket::new(
                    TicketFor::Site(site.name.clone()),
                    return_to.local(),
                    now + SIGN_IN,
                );
                ticket.browser = Some(state.clone());
                ticket.user = Some(user.id.as_str().to_owned());
                ticket.settled_at = Some(now);
                ticket.granted = granted.and_then(|granted| serde_json::to_value(&**granted).ok());
                ticket.proof = proof.map(|proof| Proof::clone(proof));
                let code = visit.tickets().issue(ticket).await?;
                let arrive = site.own_path("arrive");
                let url = format!("{}{arrive}?code={code}", return_to.origin());
                Ok(Answer::see_other(url).into())
            }
            Self::Account => Ok(Answer::see_other("/account/".to_owned()).into()),
        }
    }
}

/// Gives the service's request its user, tells the service about the account, and sends the browser there. When this ends
/// half-way, the request has its user, and the same browser gets on by loading the page again.
async fn enter_service(
    visit: &Visit<'_>,
    token: &str,
    service: &Service,
    user: &User,
) -> Result<Reply, Denial> {
    let ctx = visit.ctx;
    let identity = visit.gateway.identity;
    if !service.admits(user) || !services::holds_name(ctx.world, identity, user).await? {
        let lead = visit.text_with("not_allowed_lead", "{service}", service.name.as_str());
        let action = LinkButton {
            label: visit.text("account").to_owned(),
            href: "/account/".to_owned(),
        };
        let denial = Denial::ServiceRefused;
        return Ok(visit.refuse(denial, visit.text("not_allowed"), &lead, Some(action)));
    }
    let browser = visit.browser_hash();
    let code = random_text(&*ctx.world.platform.entropy);
    let row = audited::row(ctx, Action::SignedIn).with("object", service.id.as_str());
    audited::signed_in(ctx, user, row).await?;
    let settled = visit
        .tickets()
        .change(token, |ticket| {
            if ticket.browser.as_deref() != Some(&browser) {
                return Err(TicketError::Taken);
            }
            if ticket.user.as_deref() != Some(user.id.as_str()) {
                ticket.user = Some(user.id.as_str().to_owned());
                ticket.settled_at = Some(ctx.now);
            }
            if ticket.wants_code {
                ticket.code = Some(hash_code(&code));
            }
            Ok(())
        })
        .await;
    let ticket = match settled {
        Ok(ticket) => ticket,
        Err(error) => return over(visit, error),
    };
    let writer = Writer {
        service,
        identity,
        now: ctx.now,
    };
    let deliver = OutboxCall::Deliver {
        event: queued(ctx.world, &user.id, writer.update_account(user)),
        patience: PATIENCE_MS,
    };
    let answer = ctx
        .world
        .platform
        .outbox
        .call(service.id.as_str(), &deliver)
        .await?;
    // A change since then has been told already, and what was just told must not stand in its place.
    if let Some(newest) = people::newest(ctx.world, &user.id).await?
        && newest.version != user.version
    {
        let events = vec![queued(ctx.world, &user.id, writer.update_account(&newest))];
        let push = OutboxCall::Push { events };
        ctx.world
            .platform
            .outbox
            .call(service.id.as_str(), &push)
            .await?;
    }
    let delivered = answer.get("delivered") == Some(&serde_json::Value::Bool(true));
    Ok(Answer::see_other(if delivered {
        let code = ticket.wants_code.then(|| format!("?code={code}"));
        service.accept_url() + &code.unwrap_or_default()
    } else {
        // The account waits in the queue. Until the service has taken it, it could not sign the person in.
        format!("/welcome/?fallback=true&sso={}", query::encode(token))
    })
    .into())
}

/// The enabled service with this id, as a ticket or a page names it.
pub(super) async fn find_service(visit: &Visit<'_>, id: &str) -> Result<Option<Service>, Denial> {
    let Some(id) = ServiceId::parse(id) else {
        return Ok(None);
    };
    let service = Services(&*visit.ctx.world.platform.kv).find(&id).await?;
    Ok(service.filter(|service| service.enabled))
}

/// The page for a request that is of no use any more.
fn over(visit: &Visit<'_>, error: TicketError) -> Result<Reply, Denial> {
    let (title, denial) = match error {
        TicketError::Fault(fault) => return Err(fault.into()),
        TicketError::Gone => ("request_over", Denial::SignInOver),
        TicketError::Taken => ("request_elsewhere", Denial::SignInElsewhere),
    };
    let lead = visit.text("request_over_lead");
    // Whoever is signed in has probably pressed Back, and finds the applications there.
    let action = visit.principal.as_ref().map(|_| LinkButton {
        label: visit.text("account").to_owned(),
        href: "/account/".to_owned(),
    });
    Ok(visit.refuse(denial, visit.text(title), lead, action))
}

/// The hash of a code that a browser takes to a service.
pub(super) fn hash_code(code: &str) -> String {
    hex(&sha256(code.as_bytes()))
}

/// Whether `text` is a SHA-256 in hexadecimal.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of the user of a ticket.
pub(super) fn user_of(ticket: &Ticket) -> Option<UserId> {
    UserId::parse(ticket.user.as_deref()?)
}
