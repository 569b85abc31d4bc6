//! Pages for operators and orchestrators: is it alive, is it ready, what does it count.

use super::{Door, rest};
use crate::api::health;
use crate::view::{HealthView, Nothing};
use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `/health`, `/livez`, `/readyz` (both ports).
pub(crate) fn routes() -> Router<Arc<Door>> {
    let router = Router::new().route("/health", get(health_page)).route("/readyz", get(ready));
    let router = router.route("/livez", get(async || "ok\n"));
    router.route(
        "/openapi.json",
        get(async |State(door): State<Arc<Door>>| Json(crate::document::openapi(&door.context.backend.node().version))),
    )
}

fn status(health: &HealthView) -> StatusCode {
    if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn health_page(State(door): State<Arc<Door>>) -> Response {
    match health(&door.context, Nothing {}) {
        Ok(health) => (status(&health), Json(health)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn ready(State(door): State<Arc<Door>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let health = match health(&door.context, Nothing {}) {
        Ok(health) => health,
        Err(error) => return error.into_response(),
    };
    let word = if health.status == "ok" { "ready\n" } else { "not ready\n" };
    let line = |name: &str, good: bool| format!("[{}] {name}\n", if good { '+' } else { '-' });
    let text = match query.contains_key("verbose") {
        true => line("caught_up", health.caught_up) + &line("agreeing", health.agreeing) + word,
        false => word.to_owned(),
    };
    (status(&health), text).into_response()
}

/// `/metrics`: may be long and is asked for rarely, so it is written on a blocking thread.
pub(crate) async fn metrics(State(door): State<Arc<Door>>) -> Response {
    let page = door.context.blocking(|context| Ok(context.metrics.text(context.backend.as_ref()))).await;
    match page {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Ok(Err(failed)) => {
            tracing::error!(%failed, "the metrics page can't be written");
            rest::internal()
        }
        Err(error) => error.into_response(),
    }
}
