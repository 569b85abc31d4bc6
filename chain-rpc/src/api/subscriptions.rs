//! Every subscription, declared once: JSON-RPC names, plain sockets and documents follow.

use super::feed::{Blocks, Feed, Watch};
use super::{Context, field_names, read_params, result_schema};
use crate::errors::RpcError;
use crate::view::*;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::sync::Arc;

/// A subscription that runs.
pub(crate) type Started = Feed;

/// A subscription.
pub struct Subscription {
    /// The name: what notifications are called, and `subscribe_`/`unsubscribe_` are put before.
    pub name: &'static str,
    /// The method that starts it.
    pub subscribe: &'static str,
    /// The method that ends it.
    pub unsubscribe: &'static str,
    /// The plain socket; parameters in the query.
    pub path: &'static str,
    /// What it tells.
    pub summary: &'static str,
    /// What starting it is charged.
    pub cost: u32,
    /// Names of the parameters in order.
    pub params: fn() -> &'static [&'static str],
    /// The schema of the parameters.
    pub params_schema: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of an item.
    pub item_schema: fn(&mut SchemaGenerator) -> Schema,
    /// Starts it.
    pub(crate) start: fn(&Context, &str) -> Result<Feed, RpcError>,
}

/// Every subscription.
pub const SUBSCRIPTIONS: &[Subscription] = &[
    Subscription {
        name: "new_blocks",
        subscribe: "subscribe_new_blocks",
        unsubscribe: "unsubscribe_new_blocks",
        path: "/ws/new_blocks",
        summary: "Final blocks; from_height resumes without a gap.",
        cost: 10,
        params: field_names::<NewBlocksParams>,
        params_schema: NewBlocksParams::json_schema,
        item_schema: result_schema::<Notice<HeadView>>,
        start: |context, text| Blocks::start(context, read_params(text)?).map(Feed::Blocks),
    },
    Subscription {
        name: "events",
        subscribe: "subscribe_events",
        unsubscribe: "unsubscribe_events",
        path: "/ws/events",
        summary: "What happened in each final block, by transactions and by itself; from_height resumes without a gap.",
        cost: 10,
        params: field_names::<EventsParams>,
        params_schema: EventsParams::json_schema,
        item_schema: result_schema::<Notice<EventsView>>,
        start: |context, text| Blocks::events(context, read_params(text)?).map(Feed::Blocks),
    },
    Subscription {
        name: "new_transactions",
        subscribe: "subscribe_new_transactions",
        unsubscribe: "unsubscribe_new_transactions",
        path: "/ws/new_transactions",
        summary: "Transactions that became executable in the pool.",
        cost: 10,
        params: field_names::<Nothing>,
        params_schema: Nothing::json_schema,
        item_schema: result_schema::<Notice<PooledView>>,
        start: |context, text| read_params::<Nothing>(text).map(|_| Feed::Transactions(context.hub.transactions())),
    },
    Subscription {
        name: "consensus_events",
        subscribe: "subscribe_consensus_events",
        unsubscribe: "unsubscribe_consensus_events",
        path: "/ws/consensus_events",
        summary: "Views, proposals, votes, certificates and timeouts.",
        cost: 10,
        params: field_names::<Nothing>,
        params_schema: Nothing::json_schema,
        item_schema: result_schema::<Notice<serde_json::Value>>,
        start: |context, text| read_params::<Nothing>(text).map(|_| Feed::Steps(context.hub.steps())),
    },
    Subscription {
        name: "watch_tx",
        subscribe: "subscribe_watch_tx",
        unsubscribe: "unsubscribe_watch_tx",
        path: "/ws/watch_tx",
        summary: "One transaction's way: queued, pending, final or dropped. Ends with it.",
        cost: 10,
        params: field_names::<WatchParams>,
        params_schema: WatchParams::json_schema,
        item_schema: result_schema::<StatusView>,
        start: |context, text| Watch::start(context, read_params(text)?).map(Feed::Watch),
    },
];

/// The subscription that a JSON-RPC method starts.
pub fn subscription(subscribe: &str) -> Option<&'static Subscription> {
    SUBSCRIPTIONS.iter().find(|subscription| subscription.subscribe == subscribe)
}

/// Starts a subscription on a thread that may wait for the disk.
pub(crate) async fn start(
    context: &Arc<Context>,
    subscription: &'static Subscription,
    text: String,
) -> Result<Feed, RpcError> {
    context.blocking(move |context| (subscription.start)(context, &text)).await
}
