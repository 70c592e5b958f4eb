//! A browser at the gateway: who is signed in, and what its forms are bound to.

use crate::access::same_origin;
use crate::answer::denial::Denial;
use crate::answer::page::{self, Frame, LinkButton, Message, Ways};
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::source::MAX_OF_ONE_SOURCE;
use crate::authn::Authentication;
use crate::authn::principal::Principal;
use crate::credential::browser::{self, Browser};
use crate::credential::session::{self, SessionClaims};
use crate::credential::verified::Claims;
use crate::http::client::Client;
use crate::jose::error::TokenError;
use crate::model::user::{User, UserId};
use crate::people;
use crate::platform::digest::{hex, sha256};
use crate::site::gateway::Gateway;
use crate::site::words::Words;
use crate::store::tickets::Tickets;

/// A request of a browser for a page of the gateway.
pub(super) struct Visit<'a> {
    pub(super) ctx: &'a Ctx<'a>,
    pub(super) gateway: &'a Gateway,
    /// The texts of its pages.
    pub(super) words: Words<'a>,
    /// Who is signed in at the gateway.
    pub(super) principal: Option<Principal>,
    browser: Browser,
    /// Whether the browser does not have its id yet.
    is_new: bool,
}

impl<'a> Visit<'a> {
    /// A session that cannot be checked is a fault, not an anonymous visit. One that is no good counts as none.
    ///
    /// # Errors
    /// A fault, or [`Denial::UnknownEndpoint`] at a site that is not the gateway.
    pub(super) fn new(ctx: &'a Ctx<'a>, authentication: &Authentication) -> Result<Self, Denial> {
        let gateway = ctx.site.gateway.as_ref().ok_or(Denial::UnknownEndpoint)?;
        let principal = match &authentication.result {
            Ok(principal) => principal.clone(),
            Err(TokenError::Fault(fault)) => return Err(Denial::Fault(*fault)),
            Err(_) => None,
        };
        let known = Browser::of_cookies(&ctx.presented.browser);
        Ok(Self {
            ctx,
            gateway,
            words: ctx.words(),
            principal,
            is_new: known.is_none(),
            browser: known.unwrap_or_else(|| Browser::random(&*ctx.world.platform.entropy)),
        })
    }

    /// Gives the browser its id with the answer.
    pub(super) fn identified(&self, mut reply: Reply) -> Reply {
        let presented = self.ctx.presented.browser.len();
        if self.is_new {
            let cookies = session::set_browser(self.ctx.site, &self.browser, presented);
            reply.cookies.extend(cookies);
        }
        reply
    }

    /// What the gateway is called.
    pub(super) fn name(&self) -> &'a str {
        &self.ctx.site.brand.name
    }

    /// The text of this name, see [`crate::site::words`].
    pub(super) fn text(&self, name: &'static str) -> &'a str {
        self.words.text(name)
    }

    /// A text with a value in it.
    pub(super) fn text_with(&self, name: &'static str, place: &str, value: &str) -> String {
        self.words.with(name, place, value)
    }

    /// Whether the browser does not have its id yet.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// What the browser is bound to.
    pub(super) fn browser_hash(&self) -> String {
        self.browser.hash()
    }

    /// The token of the browser's forms.
    pub(super) fn form_token(&self) -> String {
        self.browser.form_token(&self.ctx.world.config.keys.session)
    }

    /// A proof that something was told to this browser.
    pub(super) fn bind(&self, told: &str) -> String {
        let keys = &self.ctx.world.config.keys.session;
        self.browser.bind(told, keys)
    }

    /// Whether this was told to this browser.
    pub(super) fn is_bound(&self, told: &str, proof: &str) -> bool {
        let keys = &self.ctx.world.config.keys.session;
        self.browser.is_bound(told, proof, keys)
    }

    /// Reads a form of a page of the gateway, and says whether it is this browser's.
    ///
    /// # Errors
    /// [`Denial::CrossOrigin`] for a form of another site's page, or why it cannot be read.
    pub(super) async fn read_form(&self) -> Result<(Form, bool), Denial> {
        same_origin::check(self.ctx.parts, self.ctx.site)?;
        let form = Form::read(self.ctx).await?;
        let keys = &self.ctx.world.config.keys.session;
        let is_own = !self.is_new && self.browser.made(&form.text("csrf"), keys);
        Ok((form, is_own))
    }

    pub(super) fn tickets(&self) -> Tickets<'a> {
        Tickets::of(&self.ctx.world.platform, self.ctx.now)
    }

    /// The session of whoever is signed in.
    pub(super) fn session(&self) -> Option<&SessionClaims> {
        match &self.principal.as_ref()?.verified().claims {
            Claims::Session(claims) => Some(claims),
            _ => None,
        }
    }

    /// The id of that session; empty without one.
    pub(super) fn session_id(&self) -> &str {
        self.session().map_or("", |session| &session.id)
    }

    /// Whoever is signed in, as the writer of the record knows them: what is settled by this outlives the minute that a
    /// copy may be behind.
    ///
    /// # Errors
    /// A fault.
    pub(super) async fn current(&self) -> Result<Option<User>, Denial> {
        let Some(session) = self.session() else {
            return Ok(None);
        };
        let user = people::newest(self.ctx.world, &session.user).await?;
        let counts = |user: &User| {
            let limit = user.sessions_valid_after;
            user.active
                && user.tenant.is_none()
                && limit.is_none_or(|limit| session.began_at > limit)
        };
        Ok(user.filter(counts))
    }

    /// What services and people call the user.
    pub(super) fn name_of<'u>(&self, user: &'u User) -> &'u str {
        self.gateway.identity.of(user)
    }

    /// Whether this browser has signed `user` in before, and a hash of it; of the client's network otherwise.
    pub(super) fn lane(&self, user: &UserId) -> (String, bool) {
        let keys = &self.ctx.world.config.keys.session;
        let device = {
            let all = self.ctx.presented.device.iter();
            let mut cookies = all.take(MAX_OF_ONE_SOURCE);
            cookies.find_map(|cookie| browser::device_of(keys, user, cookie))
        };
        let lane = match device {
            Some(device) => format!("device\n{device}"),
            None => format!("network\n{}", Client::of(self.ctx.parts)),
        };
        (hex(&sha256(lane.as_bytes())), device.is_some())
    }

    pub(super) fn frame<'f>(&'f self, title: &'f str, code: &'f str) -> Frame<'f> {
        self.ctx.frame(self.words, title, code)
    }

    /// A page that informs.
    pub(super) fn inform(
        &self,
        status: u16,
        title: &str,
        code: &str,
        lead: &str,
        action: Option<LinkButton>,
    ) -> Reply {
        let message = Message {
            lead,
            ways: Ways {
                action,
                ..Ways::default()
            },
            ..Message::default()
        };
        page::message(status, &self.frame(title, code), message).into()
    }

    /// A page that refuses, with the status of `denial`; `lead` instead of its text.
    pub(super) fn refuse(
        &self,
        denial: Denial,
        title: &str,
        lead: &str,
        action: Option<LinkButton>,
    ) -> Reply {
        let row = denial.row();
        let mut reply = self.inform(row.status, title, row.code, lead, action);
        reply.refused = Some(denial);
        reply
    }
}
