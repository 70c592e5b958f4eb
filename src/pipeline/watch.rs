//! Whether a connection that was opened for somebody may stay open. A WebSocket is one request, judged when it opened;
//! what is taken away afterwards would hold for as long as the client likes.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::answer::event::{Event, EventKind};
use crate::ask::ctx::{Ctx, Purpose};
use crate::ask::route::{self, Target};
use crate::ask::{asked, source};
use crate::http::request::Parts;
use crate::judge::{self, Judgement};
use crate::memory::world::World;
use crate::pipeline::outcome::about;
use crate::platform::port::NoBody;
use crate::platform::time::Timestamp;
use crate::site::Site;

/// Whether a connection may stay open.
pub enum Watched {
    /// The request that opened it would pass now, as a signed-in user.
    Holds,
    /// It would not pass. The line is for the log.
    Ended(Box<Event>),
    /// That cannot be told at the moment: the store or an issuer cannot be reached.
    Unknown,
}

/// Judges the request that has opened a connection once more, as if it came at `now`. It is the judgement that each new
/// request gets, so a connection ends for every reason for which none would be opened: the credential has ended, the user
/// is disabled, the rule wants a role that was taken away. Whoever would pass anonymously has lost the identity that the
/// origin was told, so that ends it too.
pub async fn watch(world: Rc<World>, parts: Parts, request_id: &str, now: Timestamp) -> Watched {
    let of_head = |site: Option<&Site>| {
        Event::about(&world.config.log, &parts, site, parts.path(), request_id)
    };
    let (site, path) = match route::route(&world.config, &parts) {
        Ok(Target::Site { site, path }) => (site, path),
        // Only requests for an origin open connections, and the configuration of an isolate does not change.
        Ok(Target::Own { .. }) | Err(_) => {
            return Watched::Ended(closed(of_head(None), &Denial::NotFound));
        }
    };
    let host = asked::host(&site, &parts);
    let (asked, rule) = match asked::asked(&site, &parts, &host, &path) {
        Ok(asked) => asked,
        Err(denial) => return Watched::Ended(closed(of_head(Some(&site)), &denial)),
    };
    let presented = source::present(&parts, &site);
    let ctx = Ctx {
        purpose: Purpose::Watch,
        world: &world,
        site: &site,
        parts: &parts,
        path: &path,
        received: &NoBody,
        asked,
        rule,
        also: &[],
        presented: &presented,
        request_id,
        now,
    };
    match judge::judge(&ctx).await.1 {
        Ok(Judgement::Passes(judged)) if judged.grant().principal().is_some() => Watched::Holds,
        Ok(_) => Watched::Ended(closed(about(&ctx, false), &Denial::SignInRequired)),
        Err(denial) if denial.row().status >= 500 => Watched::Unknown,
        Err(denial) => Watched::Ended(closed(about(&ctx, false), &denial)),
    }
}

fn closed(about: Event, denial: &Denial) -> Box<Event> {
    Box::new(Event {
        event: EventKind::Closed,
        status: None,
        ..about.denied(denial, 0)
    })
}
