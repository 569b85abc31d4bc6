//! Every method, declared once: from these entries come the JSON-RPC module, the REST routes, the
//! documents and their tests. One file per namespace; `METHODS` in each lists its entries.
//!
//! Not here: JSON shapes (`view`), sockets and limits (`server`), documents (`document`).

mod account;
mod authority;
mod chain;
mod event_filter;
mod feed;
mod market;
mod market_dispute;
mod market_job;
mod market_post;
mod market_provider;
mod market_reputation;
mod node;
mod staking;
pub mod subscriptions;
mod tx;

pub(crate) use chain::{block, final_blocks, to_tx_view};
pub(crate) use node::health;
pub use subscriptions::{SUBSCRIPTIONS, Subscription};
pub(crate) use tx::{MAX_SEND, send_many};

use crate::backend::{Answer, Backend};
use crate::errors::{BUSY, INTERNAL, RpcError, TIMED_OUT, bad_params};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::server::Limits;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What handlers work with.
pub struct Context {
    /// The node.
    pub backend: Arc<dyn Backend>,
    /// What is announced, by kind.
    pub hub: Hub,
    /// What is counted.
    pub metrics: Metrics,
    /// The door's limits.
    pub limits: Limits,
    /// How many reads may be on blocking threads at a time.
    blocking: Arc<Semaphore>,
}

impl Context {
    /// Starts following the node's announcements; needs a running tokio runtime. One context
    /// serves any number of doors, so that nothing is counted twice.
    pub fn new(backend: Arc<dyn Backend>, metrics: Metrics, limits: Limits) -> Arc<Self> {
        let hub = Hub::start(backend.as_ref(), metrics.clone());
        let blocking = Arc::new(Semaphore::new(limits.heavy_reads));
        Arc::new(Self { backend, hub, metrics, limits, blocking })
    }

    /// Runs a read on a blocking thread, few at a time. A read that is given up because of the
    /// deadline keeps its place until it ends.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Context) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let permit = tokio::time::timeout(self.limits.request_deadline, self.blocking.clone().acquire_owned());
        let permit = permit.await.map_err(|_| BUSY.error())?.map_err(|_| BUSY.error())?;
        let context = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&context)
        });
        match tokio::time::timeout(self.limits.request_deadline, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failed)) => {
                tracing::error!(%failed, "a read ended abnormally");
                Err(INTERNAL.error())
            }
            Err(_) => Err(TIMED_OUT.error()),
        }
    }
}

/// The verb of a REST route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Parameters in path and query.
    Get,
    /// Parameters in a JSON body.
    Post,
}

/// A REST route of a method. `{name}` in the path is the parameter of that name.
pub type Route = (Verb, &'static str);

type Call = fn(Arc<Context>, &str) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>>;

/// A method.
pub struct Method {
    /// The namespace, for people; not part of the name.
    pub namespace: &'static str,
    /// The name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What a call is charged, in units of a small read.
    pub cost: u32,
    /// Where it is over REST.
    pub routes: &'static [Route],
    /// Parameters to try it with; `$address` and the like are filled in by tests.
    pub example: &'static str,
    /// Names of the parameters in order.
    pub params: fn() -> &'static [&'static str],
    /// The schema of the parameters.
    pub params_schema: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of the answer.
    pub result_schema: fn(&mut SchemaGenerator) -> Schema,
    /// Answers a call; the text is the JSON of the parameters by name or by position.
    pub call: Call,
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every method.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    let chain = [chain::METHODS, authority::METHODS, staking::METHODS];
    let market = [market::METHODS, market_provider::METHODS, market_reputation::METHODS];
    let work = [market_job::METHODS, market_post::METHODS, market_dispute::METHODS];
    let sold = market.into_iter().chain(work);
    chain.into_iter().chain([tx::METHODS, account::METHODS]).chain(sold).chain([node::METHODS]).flatten()
}

/// The method of a name.
pub fn method(name: &str) -> Option<&'static Method> {
    methods().find(|method| method.name == name)
}

/// Reads parameters by name or by position; none at all are those that have defaults.
pub fn read_params<P: DeserializeOwned>(text: &str) -> Result<P, RpcError> {
    let text = if matches!(text.trim(), "" | "null" | "[]") { "{}" } else { text };
    serde_json::from_str(text).map_err(bad_params)
}

/// Writes an answer.
pub fn write_result<R: Serialize>(result: &R) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(result).map_err(|failed| {
        tracing::error!(%failed, "an answer has no JSON form");
        INTERNAL.error()
    })
}

/// Declares a method's entry from its handler: `now` is a read of memory, `disk` one that may
/// wait for the disk or is long, `wait` an async function.
macro_rules! entry {
    ($namespace:literal, $kind:ident $handler:path, $params:ty => $result:ty, $cost:expr, $example:literal,
     [$($route:expr),* $(,)?], $name:literal, $summary:literal) => {
        $crate::api::Method {
            namespace: $namespace,
            name: $name,
            summary: $summary,
            cost: $cost,
            routes: &[$($route),*],
            example: $example,
            params: $crate::api::field_names::<$params>,
            params_schema: <$params as schemars::JsonSchema>::json_schema,
            result_schema: $crate::api::result_schema::<$result>,
            call: |context, text| {
                let params = $crate::api::read_params::<$params>(text);
                Box::pin(async move { $crate::api::$kind!(context, $handler, $result, params?) })
            },
        }
    };
}
macro_rules! now {
    ($context:ident, $handler:path, $result:ty, $params:expr) => {
        $crate::api::write_result::<$result>(&$handler(&$context, $params)?)
    };
}
macro_rules! disk {
    ($context:ident, $handler:path, $result:ty, $params:expr) => {{
        let params = $params;
        $context.blocking(move |context| $crate::api::write_result::<$result>(&$handler(context, params)?)).await
    }};
}
macro_rules! wait {
    ($context:ident, $handler:path, $result:ty, $params:expr) => {
        $crate::api::write_result::<$result>(&$handler($context, $params).await?)
    };
}
pub(crate) use {disk, entry, now, wait};

/// The schema of an answer.
pub(crate) fn result_schema<R: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<R>()
}

/// The names of a struct's fields in order: what serde's derive asks a deserializer for.
pub(crate) fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error: the deserializer gives nothing, it only listens.
    let _ = T::deserialize(Listener(&mut names));
    names
}

struct Listener<'l>(&'l mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Listener<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only structs have fields"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("only the names were asked for"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// What a short look at the newest final block and the state after it finds.
pub(crate) fn look<T>(
    context: &Context,
    find: impl Fn(&chain_core::ledger::CommittedBlock, &chain_core::state::Tree) -> Result<T, chain_core::Fault>,
) -> Result<T, RpcError> {
    let mut found = None;
    context.backend.look(&mut |block, tree| {
        found = Some(find(block, tree)?);
        Ok(())
    })?;
    found.ok_or_else(|| crate::backend::BackendError::Fault("nobody looked".into()).into())
}

/// Turns "there is none" into `None`.
pub(crate) fn optional<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(crate::backend::BackendError::NotFound) => Ok(None),
        Err(other) => Err(other),
    }
}

/// A call's answer with its duration counted.
pub async fn call(context: Arc<Context>, method: &'static Method, text: &str) -> Result<Box<RawValue>, RpcError> {
    let timer = context.metrics.request(method.name);
    let deadline = context.limits.request_deadline;
    let answer = tokio::time::timeout(deadline, (method.call)(context, text).boxed()).await;
    let answer = answer.unwrap_or_else(|_| Err(TIMED_OUT.error()));
    timer.done(answer.as_ref().err().map(|error| error.code));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_routes_are_unique_and_parameters_of_routes_exist() {
        let mut names = std::collections::BTreeSet::new();
        let mut routes = std::collections::BTreeSet::new();
        for method in methods() {
            assert!(names.insert(method.name), "{} twice", method.name);
            for (verb, path) in method.routes {
                assert!(routes.insert(format!("{verb:?} {path}")), "{path} twice");
                for name in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                    let name = name.trim_end_matches('}');
                    assert!((method.params)().contains(&name), "{path}: {} has no {name}", method.name);
                }
            }
        }
        assert_eq!((method("get_balance").map(|m| m.params)).map(|names| names()), Some(&["address", "asset"][..]));
    }
}
