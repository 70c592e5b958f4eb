//! Where and when a credential is shown.

use crate::ask::ctx::Ctx;
use crate::http::client::Client;
use crate::platform::time::Timestamp;
use crate::site::Site;
use crate::site::tenant::Tenancy;

/// Where and when a credential is shown.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The site.
    pub site: &'a Site,
    /// In which tenant.
    pub tenancy: Tenancy<'a>,
    /// When.
    pub now: Timestamp,
    /// Whether it is shown to be let in, and not to learn what would become of it: then a user may
    /// be made on first sight, and whether the token is a link is settled.
    pub counts: bool,
    /// By whom, where attempts are counted.
    pub client: Option<Client>,
}

impl<'a> Place<'a> {
    /// Where `ctx` is, for a credential that it brings in its body: attempts are not counted there.
    #[must_use]
    pub fn of(ctx: &Ctx<'a>) -> Self {
        Self {
            site: ctx.site,
            tenancy: ctx.presented.tenancy,
            now: ctx.now,
            counts: true,
            client: None,
        }
    }
}
