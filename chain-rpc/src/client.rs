//! The typed client: what the CLI, tests and load generators call a node with. Answers are the
//! same types the server writes.
//!
//! Not here: keys and signing (chain-core, chain-cli).

use crate::errors::{ErrorData, RpcError};
use crate::view::*;
use chain_core::crypto::PublicKey;
use chain_core::types::{Address, AssetId, Height, JobId, ModelId, ProposalId, TxId};
use jsonrpsee::core::client::{ClientT, Error as CallError, Subscription, SubscriptionClientT};
use jsonrpsee::core::params::ObjectParams;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest answer the client takes, in bytes.
const MAX_ANSWER: u32 = 64 * 1024 * 1024;
/// How long the client waits for an answer unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node refused; `code` and `data` say why.
    #[error("{} ({})", .0.message, .0.data.reason)]
    Refused(Box<RpcError>),
    /// The URL's scheme is none a node is called by.
    #[error("a node's URL starts with http://, https://, ws:// or wss://: {0}")]
    Url(String),
    /// The node can't be reached, or did not answer in time or in form.
    #[error("no answer: {0}")]
    Transport(String),
}

impl ClientError {
    /// The refusal, if the node refused.
    pub fn refusal(&self) -> Option<&RpcError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CallError> for ClientError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Call(call) => {
                let data = call.data().and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
                let (code, message) = (call.code(), call.message().to_owned());
                Self::Refused(Box::new(RpcError { code, message, data: Box::new(data.unwrap_or_default()), http: 0 }))
            }
            other => Self::Transport(other.to_string()),
        }
    }
}

/// A node to call: over HTTP, or over one WebSocket (which can subscribe).
#[derive(Debug)]
pub enum Client {
    /// `http://…` or `https://…`
    Http(HttpClient),
    /// `ws://…` or `wss://…`
    Socket(WsClient),
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(
            $(#[$doc])*
            pub async fn $name(&self, $($param: $kind),*) -> Result<$answer, ClientError> {
                #[allow(unused_mut)]
                let mut params = ObjectParams::new();
                $(insert(&mut params, stringify!($param), $param)?;)*
                self.call(stringify!($name), params).await
            }
        )*
    };
}

fn insert(params: &mut ObjectParams, name: &str, value: impl Serialize) -> Result<(), ClientError> {
    params.insert(name, value).map_err(|error| ClientError::Transport(error.to_string()))
}

impl Client {
    /// Connects; over HTTP nothing is sent yet.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(url, TIMEOUT).await
    }

    /// Connects; every call may take this long.
    pub async fn connect_with(url: &str, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect_bounded(url, timeout, MAX_ANSWER).await
    }

    /// As `connect_with`; no answer may be longer than this many bytes. TLS trusts what the system
    /// trusts.
    pub async fn connect_bounded(url: &str, timeout: Duration, max_answer: u32) -> Result<Self, ClientError> {
        if url.starts_with("http://") || url.starts_with("https://") {
            let builder = HttpClientBuilder::new().request_timeout(timeout).max_response_size(max_answer);
            Ok(Self::Http(builder.build(url)?))
        } else if url.starts_with("ws://") || url.starts_with("wss://") {
            let builder = WsClientBuilder::new().request_timeout(timeout).max_response_size(max_answer);
            Ok(Self::Socket(builder.build(url).await?))
        } else {
            Err(ClientError::Url(url.into()))
        }
    }

    /// Calls a method by its name.
    pub async fn call<R: DeserializeOwned>(&self, method: &str, params: ObjectParams) -> Result<R, ClientError> {
        Ok(match self {
            Self::Http(client) => client.request(method, params).await?,
            Self::Socket(client) => client.request(method, params).await?,
        })
    }

    /// Calls a method with one value whose fields are the parameters.
    pub async fn call_with<R: DeserializeOwned>(&self, method: &str, value: &impl Serialize) -> Result<R, ClientError> {
        let bad = |error: serde_json::Error| ClientError::Transport(error.to_string());
        let mut params = ObjectParams::new();
        if let serde_json::Value::Object(fields) = serde_json::to_value(value).map_err(bad)? {
            for (name, value) in fields {
                insert(&mut params, &name, value)?;
            }
        }
        self.call(method, params).await
    }

    calls! {
        /// The newest final block in short.
        get_head() -> HeadView;
        /// A block.
        get_block(block: BlockRef, include: Include) -> BlockView;
        /// A header.
        get_header(block: BlockRef) -> HeaderView;
        /// At most 100 blocks.
        get_blocks(from: Height, to: Option<Height>, include: Include) -> BlocksView;
        /// The proof that a block is final.
        get_certificate(block: BlockRef) -> CertificateView;
        /// Final blocks with their certificates.
        get_final_blocks(from: Height, count: u32) -> FinalBlocksView;
        /// What the chain began with.
        get_genesis() -> GenesisView;
        /// The parameters in force.
        get_params() -> ParamsView;
        /// The set that signs the next block, and who else was admitted.
        get_validators() -> ValidatorsView;
        /// A page of changes of the validator set, oldest first.
        get_set_changes(from: Height, limit: Option<u32>) -> SetChangesView;
        /// What validators did in the newest blocks.
        get_uptime(blocks: Option<u32>) -> UptimesView;
        /// A page of what the council is and was asked, newest first.
        get_proposals(open: Option<bool>, cursor: Option<String>, limit: Option<u32>) -> ProposalsView;
        /// A proposal with its votes.
        get_proposal(proposal: ProposalId) -> ProposalView;
        /// A page of changes of parameters, newest first.
        get_param_history(name: Option<String>, cursor: Option<String>, limit: Option<u32>) -> ParamHistoryView;
        /// Who has which role.
        get_roles() -> RolesView;
        /// The version of the rules, and what follows.
        get_upgrade() -> UpgradeView;
        /// What stands behind a validator.
        get_stake(validator: PublicKey) -> StakeView;
        /// A page of what an account has bonded, earned and is unbonding.
        get_delegations(account: Address, cursor: Option<String>, limit: Option<u32>) -> DelegationsView;
        /// What exists of every asset.
        get_supply() -> SupplyView;
        /// Actions, rejections and codes.
        get_schema() -> SchemaView;
        /// What an account holds of an asset.
        get_balance(address: Address, asset: AssetId) -> BalanceView;
        /// An account.
        get_account(address: Address) -> AccountView;
        /// A page of an account's transactions, newest first.
        get_history(address: Address, cursor: Option<String>, limit: Option<u32>) -> HistoryView;
        /// A transaction and what became of it.
        get_tx(tx_id: TxId, proof: bool) -> GetTxView;
        /// A page of who may spend an account's money on jobs.
        get_delegates(account: Address, delegate: Option<Address>, cursor: Option<String>, limit: Option<u32>)
            -> DelegatesView;
        /// The market as a whole.
        get_market() -> MarketView;
        /// A model.
        get_model(model: ModelId) -> ModelView;
        /// A provider with its offers.
        get_provider(provider: Address) -> ProviderView;
        /// A job by its number, also a posted one.
        get_job(job: JobId) -> JobAnswer;
        /// A page of the bids on a posted job.
        get_bids(job: JobId, cursor: Option<String>, limit: Option<u32>) -> BidsView;
        /// The dispute about a job.
        get_dispute(job: JobId) -> DisputeAnswer;
        /// What an account has in the market.
        get_deposits(account: Address) -> DepositsView;
        /// A page of what jobs say of a provider.
        get_reputation(provider: Address, model: Option<ModelId>, cursor: Option<String>, limit: Option<u32>)
            -> ReputationView;
        /// What an account has earned.
        get_earnings(account: Address) -> EarningsView;
        /// Figures of the pool.
        get_mempool() -> MempoolView;
        /// Pooled transactions.
        get_pending(sender: Option<Address>, limit: Option<u32>) -> PendingView;
        /// Whether the node can be relied on.
        health() -> HealthView;
        /// How far the node is.
        sync_status() -> SyncView;
        /// The connected peers.
        peers() -> PeersView;
        /// What the node is.
        node_info() -> NodeView;
    }

    /// A transaction ready to be signed.
    pub async fn prepare_tx(&self, params: &PrepareParams) -> Result<PreparedView, ClientError> {
        self.call_with("prepare_tx", params).await
    }

    /// What actions cost.
    pub async fn estimate_fee(&self, params: &EstimateParams) -> Result<FeeView, ClientError> {
        self.call_with("estimate_fee", params).await
    }

    /// Sends complete signed bytes; answers once the node has them durably.
    pub async fn send_raw(&self, signed: &[u8]) -> Result<SendView, ClientError> {
        let mut params = ObjectParams::new();
        insert(&mut params, "signed_tx", Bytes(signed.to_vec()))?;
        self.call("send_tx", params).await
    }

    /// Sends a transaction with its signature, or in any other form.
    pub async fn send_tx(&self, params: &SendParams) -> Result<SendView, ClientError> {
        self.call_with("send_tx", params).await
    }

    /// Sends 1 to 1000 complete signed transactions, at most 1 MiB of JSON; verdicts in order.
    pub async fn send_many(&self, signed: &[Vec<u8>]) -> Result<SendManyView, ClientError> {
        let signed_txs = signed.iter().map(|bytes| Bytes(bytes.clone())).collect();
        self.call_with("send_txs", &SendManyParams { signed_txs }).await
    }

    /// What a signed transaction would do.
    pub async fn simulate_tx(&self, params: &SendParams) -> Result<SimulationView, ClientError> {
        self.call_with("simulate_tx", params).await
    }

    /// A proof with all it needs.
    pub async fn get_proof(&self, params: &ProofParams) -> Result<ProofView, ClientError> {
        self.call_with("get_proof", params).await
    }

    /// A page of models, by id.
    pub async fn get_models(&self, params: &ModelsParams) -> Result<ModelsView, ClientError> {
        self.call_with("get_models", params).await
    }

    /// A page of models that are or were voted on, newest first.
    pub async fn get_model_proposals(&self, params: &ModelProposalsParams) -> Result<ModelProposalsView, ClientError> {
        self.call_with("get_model_proposals", params).await
    }

    /// A page of providers.
    pub async fn get_providers(&self, params: &ProvidersParams) -> Result<ProvidersView, ClientError> {
        self.call_with("get_providers", params).await
    }

    /// A page of offers.
    pub async fn get_offers(&self, params: &OffersParams) -> Result<OffersView, ClientError> {
        self.call_with("get_offers", params).await
    }

    /// A page of jobs.
    pub async fn get_jobs(&self, params: &JobsParams) -> Result<JobsView, ClientError> {
        self.call_with("get_jobs", params).await
    }

    /// A page of disputes.
    pub async fn get_disputes(&self, params: &DisputesParams) -> Result<DisputesView, ClientError> {
        self.call_with("get_disputes", params).await
    }

    /// The job its opener calls so.
    pub async fn get_job_of(&self, opener: Address, client_ref: &str) -> Result<JobAnswer, ClientError> {
        let params = JobParams { job: None, opener: Some(opener), client_ref: Some(client_ref.into()) };
        self.call_with("get_job", &params).await
    }

    /// A page of a job's receipts.
    pub async fn get_receipts(&self, params: &ReceiptsParams) -> Result<ReceiptsView, ClientError> {
        self.call_with("get_receipts", params).await
    }

    /// A receipt.
    pub async fn get_receipt(&self, params: &ReceiptParams) -> Result<ReceiptView, ClientError> {
        self.call_with("get_receipt", params).await
    }

    /// Final blocks from a height on without a gap, or from now on.
    pub async fn new_blocks(&self, from_height: Option<Height>) -> Result<Feed<Notice<HeadView>>, ClientError> {
        let params = NewBlocksParams { from_height, include: None };
        self.subscribe("new_blocks", &params).await
    }

    /// What happens in final blocks, from a height on without a gap, or from now on.
    pub async fn events(
        &self,
        from_height: Option<Height>,
        types: Option<String>,
    ) -> Result<Feed<Notice<EventsView>>, ClientError> {
        self.events_of(&EventsParams { from_height, types, ..EventsParams::default() }).await
    }

    /// What happens in final blocks, of what is asked for.
    pub async fn events_of(&self, params: &EventsParams) -> Result<Feed<Notice<EventsView>>, ClientError> {
        self.subscribe("events", params).await
    }

    /// A transaction's way to its end. The item that says `final` or `dropped` is the last; the
    /// subscription itself stays open until it is dropped.
    pub async fn watch_tx(&self, tx_id: TxId) -> Result<Feed<StatusView>, ClientError> {
        self.subscribe("watch_tx", &WatchParams { tx_id }).await
    }

    /// Subscribes by the subscription's name; needs a WebSocket.
    pub async fn subscribe<T: DeserializeOwned>(
        &self,
        name: &str,
        params: &impl Serialize,
    ) -> Result<Feed<T>, ClientError> {
        let Self::Socket(client) = self else { return Err(ClientError::Url("subscriptions need ws://".into())) };
        let bad = |error: serde_json::Error| ClientError::Transport(error.to_string());
        let mut given = ObjectParams::new();
        if let serde_json::Value::Object(fields) = serde_json::to_value(params).map_err(bad)? {
            for (name, value) in fields {
                insert(&mut given, &name, value)?;
            }
        }
        let (start, end) = (format!("subscribe_{name}"), format!("unsubscribe_{name}"));
        Ok(Feed(client.subscribe(&start, given, &end).await?))
    }
}

/// What a subscription tells.
#[derive(Debug)]
pub struct Feed<T>(Subscription<T>);

impl<T: DeserializeOwned> Feed<T> {
    /// The next item; `None` when the subscription has ended.
    pub async fn next(&mut self) -> Option<Result<T, ClientError>> {
        let next = self.0.next().await?;
        Some(next.map_err(|error| ClientError::Transport(error.to_string())))
    }
}
