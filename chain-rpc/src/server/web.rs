//! What browsers need and must not get: Host and Origin checks, CORS; and the words of the door.

use super::{Door, Limits};
use crate::errors::{FORBIDDEN, METHOD_NOT_FOUND};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, header};
use std::net::IpAddr;
use std::sync::Arc;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Refuses hosts we are not called by (a page elsewhere may have its name point here) and
/// WebSockets from pages that may not use us (CORS does not cover those).
pub(crate) async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let limits = &door.context.limits;
    let headers = request.headers();
    let authority = headers.get(header::HOST).map(HeaderValue::to_str);
    let host = match (&authority, request.uri().authority()) {
        (Some(Ok(text)), _) => text.parse::<Authority>().ok(),
        (None, Some(own)) => Some(own.clone()),
        _ => None,
    };
    if !host.is_some_and(|host| host_allowed(limits, host.host())) {
        door.context.metrics.refused("host");
        return FORBIDDEN.hint("call the node by address or by a host name it is configured for").into_response();
    }
    let origin = headers.get(header::ORIGIN);
    if is_upgrade(headers) && origin.is_some_and(|origin| !origin_allowed(limits, origin)) {
        door.context.metrics.refused("origin");
        return FORBIDDEN.hint("this page's origin is not in the node's configuration").into_response();
    }
    next.run(request).await
}

fn host_allowed(limits: &Limits, host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    address || host.eq_ignore_ascii_case("localhost") || listed(&limits.hosts, host)
}

fn listed(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(name))
}

fn origin_allowed(limits: &Limits, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let host = origin.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
    let local = host.is_some_and(|host| matches!(host.host(), "localhost" | "127.0.0.1" | "[::1]"));
    local || listed(&limits.origins, origin)
}

/// Which pages may read our answers.
pub(crate) fn cors(limits: &Limits) -> CorsLayer {
    let limits = limits.clone();
    CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::ACCEPT])
        .allow_origin(AllowOrigin::predicate(move |origin, _| origin_allowed(&limits, origin)))
}

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What a person sees who opens the port in a browser.
pub(crate) fn usage() -> Response {
    let text = "JSON-RPC 2.0: POST here with Content-Type: application/json, or open a WebSocket.\n\
                REST: GET /rpc/head and others; see /openapi.json and /openrpc.json.\n";
    (http::StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response()
}

/// The answer to an unknown path.
pub(crate) async fn no_such_path() -> Response {
    METHOD_NOT_FOUND.hint("see /openapi.json for the paths").into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins() {
        let limits = Limits { hosts: vec!["node.example".into()], ..Limits::default() };
        for host in ["127.0.0.1", "[::1]", "10.0.0.3", "LOCALHOST", "Node.Example"] {
            assert!(host_allowed(&limits, host), "{host}");
        }
        assert!(!host_allowed(&limits, "evil.example"));
        let limits = Limits { origins: vec!["https://app.example".into()], ..Limits::default() };
        for (origin, good) in [
            ("http://localhost:3000", true),
            ("https://app.example", true),
            ("https://localhost.evil.example", false),
            ("https://app.example.evil", false),
            ("null", false),
        ] {
            assert_eq!(origin_allowed(&limits, &HeaderValue::from_str(origin).unwrap()), good, "{origin}");
        }
    }
}
