//! The SSO gateway: the page where people sign in for every site and every service, and the calls of services. A host of
//! the gateway has no origin: each of its paths is one of ours.

pub mod account;
pub mod credentials;
pub mod destination;
pub mod link;
pub mod login;
pub mod logout;
pub mod passkey;
pub mod password;
pub mod protocol;
pub mod visit;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::route::GatewayPage;
use crate::authn::Authentication;
use crate::gateway::visit::Visit;

/// Answers a request for a page of the gateway.
///
/// # Errors
/// Why it is refused, or a fault.
pub async fn page(
    ctx: &Ctx<'_>,
    page: GatewayPage,
    authentication: &Authentication,
) -> Result<Reply, Denial> {
    let visit = Visit::new(ctx, authentication)?;
    if page == GatewayPage::PasskeyScript && visit.gateway.passkeys.is_some() {
        // The same for everybody, so it gives nobody a cookie.
        return match ctx.parts.method() {
            "GET" | "HEAD" => Ok(passkey::script().into()),
            _ => Err(Denial::MethodNotAllowed("GET, HEAD")),
        };
    }
    let reply = match (page, ctx.parts.method()) {
        (GatewayPage::Root, "GET" | "HEAD") => {
            let path = if visit.principal.is_some() {
                "/account/"
            } else {
                "/login/"
            };
            Ok(Answer::see_other(path.to_owned()).into())
        }
        (GatewayPage::Login, "GET" | "HEAD") => login::show(&visit).await,
        (GatewayPage::Login, "POST") => login::submit(&visit).await,
        (GatewayPage::Logout, "GET" | "HEAD") => logout::show(&visit).await,
        (GatewayPage::Logout, "POST") => logout::submit(&visit).await,
        (GatewayPage::Welcome, "GET" | "HEAD") => account::welcome(&visit).await,
        (GatewayPage::Account, "GET" | "HEAD") => account::show(&visit, None, None).await,
        (GatewayPage::Account, "POST") => account::submit(&visit).await,
        (GatewayPage::Password, "GET" | "HEAD") => password::show(&visit).await,
        (GatewayPage::Password, "POST") => password::submit(&visit).await,
        (GatewayPage::Passkey, "POST") => passkey::options(&visit).await,
        (GatewayPage::Passkey | GatewayPage::PasskeyScript, _) => Err(Denial::UnknownEndpoint),
        (GatewayPage::Root | GatewayPage::Welcome, _) => Err(Denial::MethodNotAllowed("GET, HEAD")),
        _ => Err(Denial::MethodNotAllowed("GET, HEAD, POST")),
    };
    reply
        .map(|reply| keep_for_back(page, ctx.parts.method(), reply))
        .map(|reply| visit.identified(reply))
}

/// A page that answers a form is a place in the browser's history, and only the browser's own copy can be shown there again:
/// without one, Back asks to send the form a second time. So the browser may keep it, and asks nobody when it goes back. It
/// must not depend on the cookies, which the next attempt changes. No page has a password in it; that of the account, which
/// shows where somebody is signed in, is not kept, nor is the one that follows a right password and asks for another one.
fn keep_for_back(page: GatewayPage, method: &str, mut reply: Reply) -> Reply {
    let has_failed = reply.answer.status >= 400;
    let is_kept = match page {
        GatewayPage::Login | GatewayPage::Password => has_failed,
        GatewayPage::Logout => true,
        GatewayPage::Root
        | GatewayPage::Welcome
        | GatewayPage::Account
        | GatewayPage::Passkey
        | GatewayPage::PasskeyScript => false,
    };
    if is_kept && method == "POST" && reply.answer.status != 303 {
        reply.answer = reply.answer.replacing("cache-control", "private, no-cache");
        reply.answer.headers.retain(|(name, _)| *name != "vary");
    }
    reply
}
