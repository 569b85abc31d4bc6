//! Tests over real sockets against a chain in memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod authority;
mod guards;
mod http;
mod market;
mod market_disputes;
mod market_lists;
mod methods;
pub(crate) mod node;
mod staking;
mod streams;

use crate::{Context, Limits, Metrics, Running, serve, serve_ops};
use node::TestNode;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A served chain.
struct World {
    node: Arc<TestNode>,
    door: Running,
    ops: Running,
    context: Arc<Context>,
}

impl World {
    async fn new(limits: Limits) -> Self {
        Self::of(TestNode::new(), limits).await
    }

    async fn of(node: Arc<TestNode>, limits: Limits) -> Self {
        let context = Context::new(node.clone(), Metrics::new(Default::default()).unwrap(), limits);
        let listener = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = serve(listener().await, &context).unwrap();
        let ops = serve_ops(listener().await, &context).unwrap();
        Self { node, door, ops, context }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.door.address)
    }
}
