//! `chain status`: whether the node can be relied on. Exit code 1 if not, so that scripts can ask.

use chain_core::types::TimestampMs;
use chain_rpc::view::rfc3339;
use serde_json::json;

use crate::{
    app::App,
    error::{Answer, CliError},
    output::{count, span},
};

/// Runs `chain status`.
pub async fn run(app: &App) -> Answer<()> {
    let node = app.connect().await?;
    let client = &node.client;
    let (health, sync, info) = (client.health().await?, client.sync_status().await?, client.node_info().await?);
    let (pool, validators) = (client.get_mempool().await?, client.get_validators().await?);
    let document = json!({ "health": health, "sync": sync, "node": info, "mempool": pool, "validators": validators });
    app.print(&document, |lines| {
        let url = app.url().unwrap_or_default();
        lines.line(format_args!("{url}: {}", health.status));
        lines.pair("  head", format_args!("block {}, {} ago", health.height, span(health.head_age_ms.0)));
        let behind = if sync.syncing { count(sync.behind.0, "block") + " behind" } else { "caught up".into() };
        lines.pair("  sync", format_args!("{behind}, {}", if sync.agreeing { "agreeing" } else { "NOT agreeing" }));
        lines.pair("  peers", health.peers);
        lines.pair("  pool", format_args!("{} pending, {} queued", pool.pending.0, pool.queued.0));
        let rule = serde_json::to_value(validators.quorum_rule).unwrap_or_default();
        let rule = rule.as_str().unwrap_or_default().to_owned();
        lines.pair("  validators", format_args!("{} ({rule})", validators.validators.len()));
        lines.pair(
            "  node",
            format_args!("{} {}, since {}", info.role, info.version, rfc3339(TimestampMs::new(info.started.0))),
        );
        lines.pair("  chain", format_args!("{} {}", info.chain_name, info.chain_id));
    })?;
    match health.status.as_str() {
        "ok" => Ok(()),
        other => Err(CliError::Told(format!("the node is {other}"))),
    }
}
