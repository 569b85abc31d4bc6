//! Plain sockets: one WebSocket per subscription, parameters in the query, items as text frames.

use super::rest::to_params;
use super::{Client, Door, Payer};
use crate::api::subscriptions::{self, SUBSCRIPTIONS, Subscription};
use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// Longest frame a client may send here: it has nothing to say.
const MAX_FRAME: usize = 4096;

/// The routes of every subscription.
pub(crate) fn routes() -> Router<Arc<Door>> {
    SUBSCRIPTIONS.iter().fold(Router::new(), |router, subscription| {
        let handler = get(move |state, who, query, upgrade| open(subscription, state, who, query, upgrade));
        router.route(subscription.path, handler)
    })
}

async fn open(
    subscription: &'static Subscription,
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Client>,
    Query(query): Query<Vec<(String, String)>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(error) = door.rate.charge(who.account, subscription.cost) {
        return error.into_response();
    }
    let params = to_params(query.into_iter()).to_string();
    match subscriptions::start(&door.context, subscription, params).await {
        Ok(feed) => {
            let upgrade = upgrade.max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME);
            upgrade.on_upgrade(move |socket| serve(subscription, door, feed, (socket, who.payer)))
        }
        Err(error) => error.into_response(),
    }
}

async fn serve(
    subscription: &'static Subscription,
    door: Arc<Door>,
    mut feed: subscriptions::Started,
    (mut socket, payer): (WebSocket, Payer),
) {
    let context = &door.context;
    let _counted = context.metrics.subscriber(subscription.name);
    let stopped = door.stop.clone().shutdown();
    tokio::pin!(stopped);
    loop {
        let told = {
            // One future until it is done: given up, it would do the same work again for every word of the client.
            let next = feed.next(context, &payer);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut stopped => return,
                    // What the client says means nothing, but reading it answers pings and shows its end.
                    received = socket.recv() => match received {
                        Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return,
                        Some(Ok(_)) => {}
                    },
                    told = &mut next => break told,
                }
            }
        };
        let (text, last) = match told.map(|told| told.counted(context, subscription.name)) {
            Ok(Some((message, last))) => (String::from(Box::<str>::from(message)), last),
            Ok(None) => return,
            Err(error) => (serde_json::json!({ "error": error }).to_string(), true),
        };
        if socket.send(Message::Text(Utf8Bytes::from(text))).await.is_err() {
            return;
        }
        if last {
            // The client may be gone already.
            let _ = socket.send(Message::Close(None)).await;
            return;
        }
    }
}
