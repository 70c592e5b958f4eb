//! `/api/sso/metrics`: the sums of all isolates, as Prometheus reads them (text format 0.0.4).

use serde_json::Value;

use crate::admin::{only_reads, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::metrics::FAMILIES;
use crate::ask::ctx::Ctx;
use crate::model::api_token::{ApiToken, Scope};
use crate::people::services;

pub(super) async fn exposition(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::MetricsRead)?;
    only_reads(ctx)?;
    let monitor = &ctx.world.platform.monitor;
    if !monitor.is_bound() {
        return Err(Denial::NoMetrics);
    }
    let mut build = env!("CARGO_PKG_VERSION").to_owned();
    if ctx.world.config.gateway().is_some()
        && let Ok(known) = services::known(ctx.world, ctx.now).await
    {
        for service in &*known {
            build.push(' ');
            build.push_str(service.id.as_str());
        }
    }
    let mut answer = Answer::json(200, &Value::Null)
        .replacing("content-type", "text/plain; version=0.0.4; charset=utf-8");
    answer.body = monitor.sums(FAMILIES, &build).await?;
    Ok(answer)
}
