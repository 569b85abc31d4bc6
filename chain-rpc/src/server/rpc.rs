//! The methods as a JSON-RPC module, and the guard every call passes: charged by cost in single
//! calls, in batches and in notifications alike.

use super::Client;
use super::rate::{Payer, Rate, length_cost};
use crate::api::subscriptions::{self, Subscription, subscription};
use crate::api::{self, Context, method, methods};
use crate::errors::{INTERNAL, METHOD_NOT_FOUND, NO_SUBSCRIPTION, RATE_LIMITED, RpcError};
use jsonrpsee::core::SubscriptionError;
use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::server::{MethodResponse, PendingSubscriptionSink, RegisterMethodError, RpcModule};
use jsonrpsee::types::{ErrorObjectOwned, Params, Request};
use std::net::IpAddr;
use std::sync::Arc;

/// Every method and subscription.
pub(crate) fn module(context: Arc<Context>) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::from_arc(context);
    for method in methods() {
        module.register_async_method(method.name, move |params: Params<'static>, context, _| async move {
            let answer = api::call(context, method, params.as_str().unwrap_or_default()).await;
            answer.map_err(ErrorObjectOwned::from)
        })?;
    }
    for subscription in subscriptions::SUBSCRIPTIONS {
        let (start, name, end) = (subscription.subscribe, subscription.name, subscription.unsubscribe);
        module.register_subscription(start, name, end, move |params, pending, context, extensions| {
            // Every connection is a client; see `Door::client`.
            let payer = extensions.get::<Client>().map(|client| client.payer.clone());
            serve(subscription, params, pending, context, payer)
        })?;
    }
    Ok(module)
}

/// One subscription from its request to its end.
async fn serve(
    subscription: &'static Subscription,
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    context: Arc<Context>,
    payer: Option<Payer>,
) -> Result<(), SubscriptionError> {
    let Some(payer) = payer else {
        tracing::error!("a subscription nobody can be charged for");
        pending.reject(INTERNAL.error()).await;
        return Ok(());
    };
    let text = params.as_str().unwrap_or_default().to_owned();
    let mut feed = match subscriptions::start(&context, subscription, text).await {
        Ok(feed) => feed,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    // A client that is gone already needs no word.
    let Ok(sink) = pending.accept().await else { return Ok(()) };
    let _counted = context.metrics.subscriber(subscription.name);
    loop {
        let told = tokio::select! {
            () = sink.closed() => return Ok(()),
            told = feed.next(&context, &payer) => told,
        };
        let (message, last) = match told.map(|told| told.counted(&context, subscription.name)) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(error) => {
                let json = api::write_result(&error).map_err(|error| SubscriptionError::from(error.message))?;
                return Err(SubscriptionError::from_json(json));
            }
        };
        if sink.send(message).await.is_err() || last {
            return Ok(());
        }
    }
}

/// Puts the guard around the service of one connection.
#[derive(Clone)]
pub(crate) struct GuardLayer {
    /// The accounts.
    pub(crate) rate: Arc<Rate>,
    /// Whom to charge.
    pub(crate) account: IpAddr,
}

impl<S> tower::Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, layer: self.clone() }
    }
}

/// A service behind the guard.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

impl GuardLayer {
    fn charge(&self, method_name: &str) -> Result<(), RpcError> {
        self.rate.charge(self.account, cost(method_name))
    }

    /// Charges for the length of an answer; says whether it may go out.
    fn charge_answer(&self, answer: &MethodResponse) -> bool {
        self.rate.charge(self.account, length_cost(answer.as_json().get().len())).is_ok()
    }
}

/// What a call is charged; an unknown method costs as much as a small one.
fn cost(name: &str) -> u32 {
    let method = method(name).map(|method| method.cost);
    method.or_else(|| subscription(name).map(|subscription| subscription.cost)).unwrap_or(1)
}

fn is_known(name: &str) -> bool {
    let ends = || subscriptions::SUBSCRIPTIONS.iter().any(|subscription| subscription.unsubscribe == name);
    method(name).is_some() || subscription(name).is_some() || ends()
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let guard = self.clone();
        async move {
            let id = request.id.clone().into_owned();
            let name = request.method_name();
            if let Err(error) = guard.layer.charge(name) {
                return MethodResponse::error(id, ErrorObjectOwned::from(error));
            }
            if !is_known(name) {
                let error = METHOD_NOT_FOUND.hint("rpc.discover lists every method");
                return MethodResponse::error(id, ErrorObjectOwned::from(error));
            }
            let is_subscription = subscription(request.method_name()).is_some();
            let answer = guard.inner.call(request).await;
            if is_subscription && answer.is_error() && !answer.is_subscription() {
                // jsonrpsee's answer to a subscription over plain HTTP is "internal error".
                if answer.as_error_code() == Some(INTERNAL.code) {
                    return MethodResponse::error(id, ErrorObjectOwned::from(NO_SUBSCRIPTION.error()));
                }
            }
            if guard.layer.charge_answer(&answer) {
                return answer;
            }
            MethodResponse::error(id, ErrorObjectOwned::from(RATE_LIMITED.error()))
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let guard = self.clone();
        async move {
            let charged = batch.into_iter().filter_map(|entry| match entry {
                Ok(entry) => match (guard.layer.charge(entry.method_name()), entry) {
                    (Ok(()), entry) => Some(Ok(entry)),
                    (Err(error), BatchEntry::Call(call)) => Some(Err(BatchEntryErr::new(call.id, error.into()))),
                    // Nobody waits for the answer to a notification.
                    (Err(_), BatchEntry::Notification(_)) => None,
                },
                Err(bad) => Some(Err(bad)),
            });
            let charged = Batch::from(charged.collect());
            let answer = guard.inner.batch(charged).await;
            guard.layer.charge_answer(&answer);
            answer
        }
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let guard = self.clone();
        async move {
            match guard.layer.charge(notification.method_name()) {
                Ok(()) => guard.inner.notification(notification).await,
                Err(_) => MethodResponse::notification(),
            }
        }
    }
}
