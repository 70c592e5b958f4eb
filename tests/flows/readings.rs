//! Whatever a server makes of a path, the rule for that resource was asked (SEC-33).

use edgeward::answer::denial::Denial;
use edgeward::ask::route::Target;
use edgeward::ask::{asked, route};
use edgeward::http::request::Parts;
use edgeward::origin::rewrite;
use edgeward::rules::Asked;
use edgeward::site::Site;
use serde_json::{Value, json};

use crate::harness::Edge;
use crate::servers::{SERVERS, Server};

/// How many paths are generated: `EDGEWARD_PATHS`, or as many as take a few seconds.
fn count() -> usize {
    std::env::var("EDGEWARD_PATHS").map_or(40_000, |text| text.parse().expect("a number"))
}

/// Rules with everything that a path can be matched by, in both directions: what is free within what
/// is not, and the other way round.
fn rules() -> Vec<Value> {
    vec![
        json!([
            {"prefix": "/admin", "require": {"role": "admin"}},
            {"prefix": "/static", "public": true},
            {"prefix": "/", "require": {"authenticated": true}},
        ]),
        json!([
            {"path": ["/", "/a", "/a/b"], "public": true},
            {"glob": ["/a/*/b", "/**/*.css"], "anonymous_ok": true},
            {"glob": "/admin/**", "deny": true},
        ]),
        json!([
            {"prefix": "/static/admin", "deny": true},
            {"prefix": ["/static", "/é"], "public": true},
            {"path": "/admin", "method": "GET", "require": {"role": "admin"}},
        ]),
    ]
}

/// What paths are made of: names that rules know, and everything that servers read differently.
const PIECES: [&str; 67] = [
    "/",
    "/",
    "/",
    "/",
    "/",
    "/",
    "admin",
    "admin",
    "static",
    "static",
    "a",
    "b",
    "b",
    ".css",
    ".",
    "..",
    "...",
    "../",
    "/..",
    "/./",
    "//",
    "%2F",
    "%2f",
    "%5C",
    "%5c",
    "\\",
    "%2e",
    "%2E",
    "%2e%2e",
    ".%2e",
    "%252e",
    "%252F",
    "%252f",
    "%255c",
    "%25",
    "%2525",
    ";",
    "%3B",
    "%3b",
    ";x",
    ";x=1/",
    "..;",
    "..;/",
    "%253b",
    "%20",
    " ",
    "%2520",
    ".%20",
    "%20.",
    "%61",
    "%61dmin",
    "st%61tic",
    "%2561",
    "%C0%AF",
    "%C0%AE",
    "%c0%ae%c0%ae",
    "%E0%80%AF",
    "%E9",
    "%C3%A9",
    "é",
    "%40",
    "@",
    "%00",
    "%zz",
    "api/sso",
    "sso/token",
    "api",
];

/// A generator of numbers (`SplitMix64`), so that every run makes the same paths.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn path(&mut self) -> String {
        let length = 1 + self.below(9);
        let mut path = String::from("/");
        for _ in 0..length {
            path.push_str(PIECES[self.below(PIECES.len())]);
        }
        path
    }
}

/// What became of a path.
enum Fate {
    /// It is sent, and this rule decides.
    Sent(String, u16),
    Ours,
    Refused(Denial),
}

fn fate(site: &Site, path: &str) -> Fate {
    let url = format!("https://site.example{path}");
    let parts = Parts::new("GET", &url, &[]).unwrap();
    let (path, endpoint) = match route::resolve(site, parts.path()) {
        Ok(found) => found,
        Err(denial) => return Fate::Refused(denial),
    };
    if endpoint.is_some() {
        return Fate::Ours;
    }
    match asked::asked(site, &parts, "site.example", &path) {
        Ok((_, rule)) => Fate::Sent(path.as_str().to_owned(), rule.number),
        Err(denial) => Fate::Refused(denial),
    }
}

/// The rule in whose territory a resource lies.
fn territory(site: &Site, resource: &[u8]) -> u16 {
    let asked = Asked {
        host: "site.example",
        path: resource,
        method: "GET",
        preflight: false,
        address: None,
        country: None,
    };
    site.rules.rule_for(&asked).number
}

fn site_of(edge: &Edge) -> std::rc::Rc<Site> {
    let isolate = edge.isolate();
    isolate
        .world
        .config
        .site("site.example", "https", "/")
        .unwrap()
}

#[test]
fn sec_33_no_server_reaches_the_territory_of_a_rule_that_was_not_asked() {
    let sites: Vec<_> = rules()
        .into_iter()
        .map(|rules| {
            site_of(&Edge::new(
                &json!({"rules": rules, "unauthenticated": "deny"}),
            ))
        })
        .collect();
    let mut numbers = Numbers(33);
    let (mut sent, mut odd, mut ambiguous, mut own, mut caught) = (0, 0, 0, 0, 0);
    for number in 0..count() {
        let site = &sites[number % sites.len()];
        let path = numbers.path();
        match fate(site, &path) {
            Fate::Sent(arrives, rule) => {
                sent += 1;
                odd += usize::from(arrives.contains(['%', ';']) || arrives.contains("//"));
                for (server, reads) in SERVERS {
                    for resource in reads(arrives.as_bytes()) {
                        let seen = String::from_utf8_lossy(&resource);
                        let territory = territory(site, &resource);
                        assert_eq!(territory, rule, "{server} reads {arrives} as {seen}");
                        let ours = route::endpoint_of(site, &seen);
                        assert_eq!(ours, None, "{server} reads {arrives} as {seen}");
                    }
                }
            }
            Fate::Ours => own += 1,
            Fate::Refused(Denial::AmbiguousPath(..)) => {
                ambiguous += 1;
                // What is refused would be reached: the models tell what is at stake.
                let read = |(_, reads): &Server| reads(path.replace('é', "%C3%A9").as_bytes());
                let mut territories = SERVERS.iter().flat_map(read).map(|r| territory(site, &r));
                let first = territories.next();
                caught += usize::from(territories.any(|other| Some(other) != first));
            }
            Fate::Refused(_) => {}
        }
    }
    println!(
        "{sent} sent, {odd} of them odd; {ambiguous} ambiguous, {caught} of them for a server here; {own} ours"
    );
    let tenth = count() / 10;
    assert!(odd > tenth && ambiguous > tenth && caught > ambiguous / 2);
}

/// Sites at one host whose origins are parts of one server, by name, the path at the host and the base path there.
type Layout = &'static [(&'static str, &'static str, &'static str)];

/// As one server under one host; with other names on either side, where the host's own site is elsewhere; and nested.
const LAYOUTS: [Layout; 3] = [
    &[("APP", "", ""), ("STATIC", "/static", "/static")],
    &[("A", "/a", "/static"), ("B", "/admin", "/b")],
    &[("APP", "", ""), ("A", "/a", "/a"), ("B", "/a/b", "/a/b")],
];

fn shared_host(layout: Layout) -> Edge {
    let mut all = crate::harness::bindings(&json!({}));
    all.remove("EDGEWARD_SITE_APP");
    for (number, (name, mount, base)) in layout.iter().enumerate() {
        let site = json!({
            "hosts": [format!("site.example{mount}")],
            "upstream": format!("https://server.example{base}"),
            "rules": rules()[number],
            "unauthenticated": "deny",
        });
        all.insert(format!("EDGEWARD_SITE_{name}"), crate::harness::site(&site));
    }
    Edge::with(all)
}

/// The site to which a resource of the server belongs, and what the resource is called there.
fn owner<'a>(sites: &'a [std::rc::Rc<Site>], resource: &'a [u8]) -> Option<(&'a Site, &'a [u8])> {
    let within = |site: &'a std::rc::Rc<Site>| {
        let rest = resource.strip_prefix(site.base.as_bytes())?;
        matches!(rest, [] | [b'/', ..]).then_some((&**site, rest))
    };
    let found = sites.iter().filter_map(within);
    found.max_by_key(|(site, _)| site.base.len())
}

#[test]
fn sec_33_no_server_behind_two_sites_reaches_what_belongs_to_the_other() {
    let mut numbers = Numbers(13);
    for layout in LAYOUTS {
        let edge = shared_host(layout);
        let isolate = edge.isolate();
        let config = &isolate.world.config;
        let sites: Vec<_> = config.sites().map(std::rc::Rc::clone).collect();
        assert_eq!(sites.len(), layout.len());
        let (mut sent, mut mounted, mut divided) = (0, 0, 0);
        for _ in 0..count() / LAYOUTS.len() {
            // Half of them begin in a mount, or nearly.
            let path = match numbers.below(4) {
                0 => format!("/a{}", numbers.path()),
                1 => format!("/static{}", numbers.path()),
                _ => numbers.path(),
            };
            let parts = Parts::new("GET", &format!("https://site.example{path}"), &[]).unwrap();
            let (site, path) = match route::route(config, &parts) {
                Ok(Target::Site { site, path }) => (site, path),
                Ok(Target::Own { .. }) => continue,
                Err((denial, _)) => {
                    divided += usize::from(denial.reason().contains("site "));
                    continue;
                }
            };
            let Ok((_, rule)) = asked::asked(&site, &parts, "site.example", &path) else {
                continue;
            };
            let url = rewrite::url(rewrite::base(&site, "site.example"), &path, None);
            let arrives = url.strip_prefix("https://server.example").unwrap();
            sent += 1;
            mounted += usize::from(!site.mount.is_empty());
            for (server, reads) in SERVERS {
                // A proxy may cut the base off, so that the application reads the rest.
                for local in reads(path.as_str().as_bytes()) {
                    let seen = String::from_utf8_lossy(&local);
                    let territory = territory(&site, &local);
                    assert_eq!(territory, rule.number, "{server} reads {url} as {seen}");
                }
                for resource in reads(arrives.as_bytes()) {
                    let seen = String::from_utf8_lossy(&resource);
                    let Some((owner, local)) = owner(&sites, &resource) else {
                        panic!("{server} reads {arrives} as {seen}, which is no site's");
                    };
                    let local = if local.is_empty() { b"/" } else { local };
                    assert_eq!(owner.name, site.name, "{server} reads {arrives} as {seen}");
                    let territory = territory(owner, local);
                    assert_eq!(territory, rule.number, "{server} reads {arrives} as {seen}");
                    let ours = route::endpoint_of(owner, &String::from_utf8_lossy(local));
                    assert_eq!(ours, None, "{server} reads {arrives} as {seen}");
                }
            }
        }
        println!("{layout:?}: {sent} sent, {mounted} of them to a mount; {divided} divided");
        let hundredth = count() / LAYOUTS.len() / 100;
        assert!(
            mounted > hundredth && divided > hundredth,
            "{mounted} {divided}"
        );
    }
}
