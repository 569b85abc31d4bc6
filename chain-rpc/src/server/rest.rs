//! REST: the same methods with parameters in path, query or body; and the answers as bytes.

use super::Door;
use super::rate::length_cost;
use crate::api::{self, Method, Verb, methods};
use crate::errors::{ANSWER_TOO_LARGE, INTERNAL, PARSE, RpcError, TOO_LARGE, TOO_SLOW};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The routes of every method.
pub(crate) fn routes() -> Router<Arc<Door>> {
    let mut router = Router::new();
    for method in methods() {
        for (verb, path) in method.routes {
            let handler = match verb {
                Verb::Get => {
                    get(move |state, who, path, query, headers| by_query(method, state, who, path, query, headers))
                }
                Verb::Post => post(move |state, who, request| by_body(method, state, who, request)),
            };
            router = router.route(path, handler);
        }
    }
    router
}

async fn by_query(
    method: &'static Method,
    State(door): State<Arc<Door>>,
    Extension(who): Extension<super::Client>,
    path: RawPathParams,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let params = to_params(path.chain(query)).to_string();
    let wants_bytes = headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/octet-stream");
    if wants_bytes && super::octets::METHODS.contains(&method.name) {
        return super::octets::answer(&door, &who, method, params).await;
    }
    answer(&door, &who, method, &params).await
}

async fn by_body(
    method: &'static Method,
    State(door): State<Arc<Door>>,
    Extension(who): Extension<super::Client>,
    request: Request,
) -> Response {
    let limits = &door.context.limits;
    let body = match read_body(request.into_body(), limits.body_bytes, limits.body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    match std::str::from_utf8(&body) {
        Ok(text) => answer(&door, &who, method, text).await,
        Err(_) => PARSE.error().into_response(),
    }
}

async fn answer(door: &Door, who: &super::Client, method: &'static Method, params: &str) -> Response {
    if let Err(error) = door.rate.charge(who.account, method.cost) {
        return error.into_response();
    }
    let answer = api::call(door.context.clone(), method, params).await;
    match answer.and_then(|json| let_out(door, who, json.get().len()).map(|()| json)) {
        Ok(json) => {
            ([(header::CONTENT_TYPE, "application/json")], String::from(Box::<str>::from(json))).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// Bounds an answer's length and charges for it.
pub(crate) fn let_out(door: &Door, who: &super::Client, length: usize) -> Result<(), RpcError> {
    let max = door.context.limits.response_bytes;
    if length > max {
        return Err(ANSWER_TOO_LARGE.because(format_args!("at most {max} bytes"), length));
    }
    door.rate.charge(who.account, length_cost(length))
}

/// Parameters by name from texts: what is a small number or a truth value becomes one; every
/// larger number is read from a text anyway.
pub(crate) fn to_params(texts: impl Iterator<Item = (String, String)>) -> Value {
    let value = |text: String| match (text.parse::<u32>(), text.as_str()) {
        (Ok(number), spelling) if number.to_string() == spelling => Value::from(number),
        (_, "true") => Value::Bool(true),
        (_, "false") => Value::Bool(false),
        _ => Value::String(text),
    };
    Value::Object(texts.map(|(name, text)| (name, value(text))).collect::<Map<_, _>>())
}

/// Reads a body of at most `max` bytes within a time.
pub(crate) async fn read_body(body: Body, max: usize, deadline: Duration) -> Result<axum::body::Bytes, RpcError> {
    let read = tokio::time::timeout(deadline, Limited::new(body, max).collect());
    match read.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Ok(Err(_)) => Err(PARSE.error()),
        Err(_) => Err(TOO_SLOW.error()),
    }
}

/// The error for a body longer than `max` bytes.
pub(crate) fn too_large(max: usize) -> RpcError {
    let mut error = TOO_LARGE.error();
    error.data.expected = Some(format!("at most {max} bytes"));
    error
}

impl IntoResponse for RpcError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::json!({ "error": self }).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// The answer where ours could not even be written.
pub(crate) fn internal() -> Response {
    INTERNAL.error().into_response()
}
