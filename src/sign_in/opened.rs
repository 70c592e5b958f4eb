//! The record of a session that was opened, for people to look at. Kept only where there is a gateway, whose account page
//! shows it.

use std::rc::Rc;

use crate::ask::ctx::Ctx;
use crate::credential::session::{self, SessionClaims};
use crate::store::sessions::{SessionRecord, Sessions};

/// Records a session after the answer. If that fails, the session is valid all the same, ends with all others, and is
/// not listed.
pub fn note(ctx: &Ctx<'_>, claims: &SessionClaims) {
    if ctx.world.config.gateway().is_none() {
        return;
    }
    let record = SessionRecord {
        id: claims.id.clone(),
        site: ctx.site.name.clone(),
        opened_at: claims.began_at,
        ends_at: session::ends_at(ctx.site, claims),
        browser: ctx
            .parts
            .named("user-agent")
            .map_or_else(String::new, kind_of),
    };
    let (world, user) = (Rc::clone(ctx.world), claims.user.clone());
    ctx.world.platform.background.spawn(Box::pin(async move {
        let _ = Sessions(&*world.platform.kv).put(&user, &record).await;
    }));
}

/// Browser and system, as far as people tell them apart. The first that fits decides: browsers name those that they
/// descend from as well.
fn kind_of(user_agent: &str) -> String {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |known: &[(&str, &'static str)]| {
        let found = known.iter().find(|(mark, _)| user_agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    let parts = [find(&BROWSERS), find(&SYSTEMS)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_name_it() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
        assert_eq!(kind_of(chrome), "Chrome, Linux");
        let edge = format!("{chrome} Edg/130.0.0.0");
        assert_eq!(kind_of(&edge), "Edge, Linux");
        assert_eq!(kind_of("curl/8.0"), "");
    }
}
