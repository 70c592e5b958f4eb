//! `/api/sso/health?deep`: whether everything answers that requests depend on. Asked at most once every ten seconds in each
//! isolate, so nobody can make Edgeward press an origin or an issuer by it.

use std::future::poll_fn;
use std::task::Poll;

use serde_json::Value;

use crate::admin::{only_reads, parameter, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn::jwks;
use crate::memory::cache::Health;
use crate::memory::world::World;
use crate::model::api_token::{ApiToken, Scope};
use crate::platform::algorithm::Algorithm;
use crate::platform::port::Pending;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{KeySource, RemoteKeys};
use crate::store::signing_keys;

/// How long what was found is told again.
const KEPT: Seconds = Seconds(10);
/// How long everything may take, in milliseconds.
const LONGEST: u32 = 5000;
/// How often, and for how many milliseconds at a time, a call waits for what another one finds.
const PAUSES: u32 = 120;
const PAUSE: u32 = 50;

/// What each `work` comes to, unless all together take too long.
async fn all(world: &World, work: Vec<Pending<'_, String>>) -> Vec<Option<String>> {
    let mut late = world.platform.background.pause(LONGEST);
    let mut work: Vec<_> = work.into_iter().map(|work| (work, None)).collect();
    poll_fn(move |context| {
        let mut is_done = true;
        for (work, found) in &mut work {
            if found.is_none() {
                match work.as_mut().poll(context) {
                    Poll::Ready(result) => *found = Some(result),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done || late.as_mut().poll(context).is_ready() {
            Poll::Ready(work.iter_mut().map(|(_, found)| found.take()).collect())
        } else {
            Poll::Pending
        }
    })
    .await
}

pub(super) async fn deep(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::MetricsRead)?;
    only_reads(ctx)?;
    if parameter(ctx, "deep").is_some_and(|value| !value.is_empty()) {
        return Err(Denial::InvalidField("deep"));
    }
    let (world, now) = (ctx.world, ctx.now);
    let memory = &world.cache.health;
    for _ in 0..PAUSES {
        match &*memory.borrow() {
            // One that came a little later may have been first.
            Some(health) if now < health.begun + KEPT => {
                if let Some(found) = &health.found {
                    return Ok(told(found));
                }
            }
            _ => break,
        }
        world.platform.background.pause(PAUSE).await?;
    }
    let begun = now;
    *memory.borrow_mut() = Some(Health { begun, found: None });
    let found = look(world, now).await;
    let answer = told(&found);
    let found = Some(found);
    *memory.borrow_mut() = Some(Health { begun, found });
    Ok(answer)
}

fn told((is_well, found): &(bool, String)) -> Answer {
    let mut answer = Answer::json(if *is_well { 200 } else { 503 }, &Value::Null);
    answer.body.clone_from(found);
    answer
}

/// Looks at everything at once.
async fn look<'a>(world: &'a World, now: Timestamp) -> (bool, String) {
    let mut names: Vec<String> = Vec::new();
    let mut looks: Vec<Pending<'a, String>> = Vec::new();
    let mut origins = String::new();
    let mut add = |name: [&str; 2], look: Pending<'a, String>| {
        let name = name.concat();
        if !names.contains(&name) {
            looks.push(look);
            names.push(name);
        }
    };
    for site in world.config.sites() {
        if let Some(upstream) = &site.upstream {
            origins.push_str(&[&*site.name, " ", upstream, "\n"].concat());
        }
        if let Some(settings) = &site.assertion {
            let algorithm = settings.algorithm;
            let look = Box::pin(signing(world, algorithm));
            add(["signing_keys:", algorithm.name()], look);
        }
        for issuer in site.speakers() {
            if let KeySource::Remote(remote) = &issuer.keys {
                add(
                    ["issuer:", &*issuer.name],
                    Box::pin(keys(world, remote, now)),
                );
            }
        }
    }
    let parts = world.platform.monitor.parts(&origins);
    let looks = all(world, looks).await;
    let parts = parts.await;
    let mut lines = parts.unwrap_or_else(|_| "platform failed\n".to_owned());
    for (name, found) in names.iter().zip(looks) {
        let wrong = found.as_deref().unwrap_or("no answer in time");
        lines.push_str(&[name, " ", wrong, "\n"].concat());
    }
    let (mut is_well, mut checks) = (true, String::new());
    for line in lines.lines() {
        let (name, wrong) = line.split_once(' ').unwrap_or((line, ""));
        let before = if checks.is_empty() { "\"" } else { ",\"" };
        let told = if wrong.is_empty() {
            "ok\"}".to_owned()
        } else {
            is_well = false;
            [
                "failing\",\"reason\":",
                &Value::from(wrong).to_string(),
                "}",
            ]
            .concat()
        };
        checks.push_str(&[before, name, "\":{\"status\":\"", &told].concat());
    }
    let status = if is_well { "ok" } else { "failing" };
    let at = now.seconds().to_string();
    let parts = [
        "{\"status\":\"",
        status,
        concat!(
            "\",\"version\":\"",
            env!("CARGO_PKG_VERSION"),
            "\",\"configuration\":\""
        ),
        &world.config.digest,
        "\",\"checked_at\":",
        &at,
        ",\"checks\":{",
        &checks,
        "}}",
    ];
    (is_well, parts.concat())
}

/// Whether the keys that sign assertions can be read and opened. Before the first request there are none.
async fn signing(world: &World, algorithm: Algorithm) -> String {
    let ring = &world.config.keys.key;
    let wrong = match signing_keys::read(&*world.platform.kv, algorithm).await {
        Err(_) => "the store failed",
        Ok(Some(keys))
            if keys
                .keys
                .iter()
                .any(|key| ring.encryption_key(key.secret, "").is_none()) =>
        {
            "a key is encrypted with a key secret that is not configured"
        }
        Ok(_) => "",
    };
    wrong.to_owned()
}

async fn keys(world: &World, remote: &RemoteKeys, now: Timestamp) -> String {
    let checked = jwks::check(world, remote, now).await;
    checked
        .err()
        .map_or_else(String::new, |cause| cause.to_string())
}
