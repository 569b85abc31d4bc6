//! The doors: one port for JSON-RPC, REST and WebSocket, one for operators. Our own accept loop
//! with guards in front of axum's router; JSON-RPC is jsonrpsee's tower service behind two routes.
//!
//! Not here: what is answered (`api`).

mod accept;
mod bulk;
mod guarded_io;
mod limits;
mod octets;
mod ops;
mod rate;
mod rest;
mod rpc;
mod sockets;
mod web;

pub use accept::Running;
pub use limits::Limits;

use crate::api::Context;
use crate::errors::RpcError;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::{Method, header};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Methods, PingConfig, Server, ServerConfig, ServerHandle, StopHandle, TowerService,
    TowerServiceBuilder, stop_channel,
};
pub(crate) use rate::{Payer, Rate, length_cost};
use rpc::GuardLayer;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tower::Service;
use tower::layer::util::{Identity, Stack};

/// Why a door can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two methods have one name: a mistake in this crate.
    #[error("methods: {0}")]
    Methods(#[from] jsonrpsee::server::RegisterMethodError),
    /// The socket.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// What every connection shares.
pub(crate) struct Door {
    pub(crate) context: Arc<Context>,
    pub(crate) rate: Arc<Rate>,
    methods: Methods,
    builder: TowerServiceBuilder<Identity, Identity>,
    stop: StopHandle,
}

type Rpc = TowerService<Stack<GuardLayer, Identity>, Identity>;

/// A connection as handlers see it.
#[derive(Clone)]
pub(crate) struct Client {
    /// Whom its requests are charged to.
    pub(crate) account: IpAddr,
    /// The same, for what goes on: subscriptions.
    pub(crate) payer: Payer,
    rpc: Rpc,
}

/// Opens the public door on a listener. Closes when the answer is stopped or dropped.
pub fn serve(listener: TcpListener, context: &Arc<Context>) -> Result<Running, ServeError> {
    let (door, handle) = door(context, rpc::module(context.clone())?.into());
    let router = router(door.clone());
    Ok(accept::run(listener, door, router, handle)?)
}

/// Opens the operators' door: `/metrics` and the health pages. Closes as the public door does.
pub fn serve_ops(listener: TcpListener, context: &Arc<Context>) -> Result<Running, ServeError> {
    let (door, handle) = door(context, Methods::new());
    let router = ops::routes().route("/metrics", get(ops::metrics)).with_state(door.clone());
    Ok(accept::run(listener, door, router, handle)?)
}

fn door(context: &Arc<Context>, methods: Methods) -> (Arc<Door>, ServerHandle) {
    let (stop, handle) = stop_channel();
    let builder = Server::builder().set_config(config(&context.limits)).to_service_builder();
    let rate = Rate::new(&context.limits, context.metrics.clone());
    (Arc::new(Door { context: context.clone(), rate, methods, builder, stop }), handle)
}

fn config(limits: &Limits) -> ServerConfig {
    let bytes = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    ServerConfig::builder()
        // Connections are counted by the accept loop; jsonrpsee would count requests here.
        .max_connections(u32::MAX)
        .max_request_body_size(bytes(limits.body_bytes))
        .max_response_body_size(bytes(limits.response_bytes))
        .max_subscriptions_per_connection(limits.subscriptions)
        .set_message_buffer_capacity(limits.socket_queue)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .enable_ws_ping(PingConfig::new())
        .build()
}

impl Door {
    /// A new connection's view of the methods.
    pub(crate) fn client(&self, account: IpAddr) -> Client {
        let (layer, payer) = (GuardLayer { rate: self.rate.clone(), account }, Payer::new(self.rate.clone(), account));
        let guarded = self.builder.clone().set_rpc_middleware(RpcServiceBuilder::new().layer(layer));
        Client { account, payer, rpc: guarded.build(self.methods.clone(), self.stop.clone()) }
    }
}

fn router(door: Arc<Door>) -> Router {
    rest::routes()
        .merge(ops::routes())
        .route("/", any(json_rpc))
        .route("/rpc", any(json_rpc))
        .route("/ws", get(json_rpc))
        .route("/rpc/send_txs", post(bulk::send_txs))
        .merge(sockets::routes())
        .fallback(web::no_such_path)
        .layer(web::cors(&door.context.limits))
        .layer(axum::middleware::from_fn_with_state(door.clone(), web::guard))
        .with_state(door)
}

/// JSON-RPC over HTTP and WebSocket.
async fn json_rpc(
    State(door): State<Arc<Door>>,
    Extension(mut client): Extension<Client>,
    request: Request,
) -> Response {
    if web::is_upgrade(request.headers()) {
        return called(client.rpc.call(request).await.map(|response| response.map(Body::new)));
    }
    if request.method() != Method::POST {
        return web::usage();
    }
    let limits = &door.context.limits;
    let (parts, body) = request.into_parts();
    let body = match rest::read_body(body, limits.body_bytes, limits.body).await {
        Ok(body) => body,
        Err(error) => return form_error(error),
    };
    let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let form = if kind.starts_with(b"application/json") { form(&body) } else { Form::Other };
    if form == Form::NoRequest {
        return form_error(crate::errors::INVALID_REQUEST.error());
    }
    let request = http::Request::from_parts(parts, http_body_util::Full::new(body));
    // Each call has its own deadline; a batch has this one as a whole.
    match tokio::time::timeout(limits.request_deadline * 2, client.rpc.call(request)).await {
        // A notification has no answer; jsonrpsee would say null.
        Ok(Ok(_)) if form == Form::Notification => Response::new(Body::empty()),
        Ok(answer) => called(answer.map(|response| response.map(Body::new))),
        Err(_) => form_error(crate::errors::TIMED_OUT.error()),
    }
}

/// What a body is, as far as jsonrpsee would answer it against the standard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON, but neither a batch nor an object with `"jsonrpc": "2.0"` and a method; jsonrpsee
    /// would call it a parse error.
    NoRequest,
    /// A call without an id.
    Notification,
    /// Anything else; jsonrpsee knows what to say.
    Other,
}

fn form(body: &[u8]) -> Form {
    #[derive(serde::Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        jsonrpc: Option<std::borrow::Cow<'a, str>>,
        #[serde(borrow, default)]
        method: Option<std::borrow::Cow<'a, str>>,
        // Present and null is a request with the id null; absent is a notification.
        #[serde(borrow, default, deserialize_with = "present")]
        id: Option<&'a serde_json::value::RawValue>,
    }
    fn present<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<&'de serde_json::value::RawValue>, D::Error> {
        serde::Deserialize::deserialize(deserializer).map(Some)
    }
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Form::Other,
        Some(b'{') => match serde_json::from_slice::<Fields<'_>>(body) {
            Ok(fields) if fields.jsonrpc.as_deref() != Some("2.0") || fields.method.is_none() => Form::NoRequest,
            Ok(fields) if fields.id.is_none() => Form::Notification,
            Err(error) if error.is_data() => Form::NoRequest,
            _ => Form::Other,
        },
        _ if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() => Form::NoRequest,
        _ => Form::Other,
    }
}

fn called<E>(answer: Result<Response, E>) -> Response {
    answer.unwrap_or_else(|_| rest::internal())
}

/// An error of a JSON-RPC request as a whole.
fn form_error(error: RpcError) -> Response {
    let status = error.clone().into_response().status();
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
