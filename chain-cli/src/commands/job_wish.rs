//! What jobs are opened and posted with: `chain job open` and `chain job post`.
//!
//! Not here: what else happens to jobs (`job`), the rules (chain-core).

use chain_core::{
    crypto::{Hash, PublicKey},
    state::market::{
        job::{Funding, Mode},
        post::Requirements,
    },
    tx::job::{Opening, Posting},
    types::{Address, AssetId, ModelId, UnitKind, Units},
};
use chain_rpc::view::{DisputeTermsView, OfferView};
use clap::Args;

use super::deciders::{who, without_verdict};
use crate::{
    app::App,
    error::{Answer, CliError},
    market::{Unit, bond_amount, model, price_of, text},
    node::Node,
};

/// What is the same for a job that is opened and one that is posted.
#[derive(Debug, Args)]
pub struct Work {
    /// With what, by id, repo/file or file
    #[arg(long)]
    model: String,
    /// How much goes into escrow, such as 10USD
    #[arg(long)]
    deposit: String,
    /// What is metered
    #[arg(long, default_value = "tokens")]
    unit: Unit,
    /// How many seconds it lasts at most
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    duration: u32,
    /// After how many seconds without work it ends, 60 to 3600 [default: 300]; with --acks without a redeemed
    /// acknowledgement, at most the duration [default: the duration]
    #[arg(long, value_name = "SECONDS")]
    silence: Option<u32>,
    #[command(flatten)]
    mode: ModeArgs,
    /// What to call it; a second one of this name is refused
    #[arg(long = "ref", value_name = "NAME")]
    client_ref: Option<String>,
    /// Pay out of what was deposited in the market
    #[arg(long, conflicts_with = "on_behalf_of")]
    prepaid: bool,
    /// Pay from the account of somebody whose delegate --from is
    #[arg(long, value_name = "NAME|ADDRESS")]
    on_behalf_of: Option<String>,
}

/// How work becomes money.
#[derive(Debug, Args)]
struct ModeArgs {
    /// The provider claims: the least units that are paid for once work was accepted
    #[arg(long, value_name = "UNITS", default_value_t = 100, conflicts_with = "acks")]
    proof_interval: u64,
    /// The payer acknowledges work, and acknowledgements are paid at once; needs --ack-key or --ack-from
    #[arg(long)]
    acks: bool,
    /// With --acks: the most units claimed beyond the last acknowledgement, and so what either side risks
    #[arg(long, value_name = "UNITS", default_value_t = 1_000, requires = "acks")]
    quantum: u64,
    /// With --acks: the public key that signs acknowledgements, 0x…
    #[arg(long, value_name = "KEY", requires = "acks", conflicts_with = "ack_from")]
    ack_key: Option<PublicKey>,
    /// With --acks: the name of the key that signs acknowledgements
    #[arg(long, value_name = "NAME", requires = "acks")]
    ack_from: Option<String>,
}

/// A job to open.
#[derive(Debug, Args)]
pub struct Wish {
    /// Who shall work, by name or address
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: String,
    /// The price for 1000 units, such as 0.005USD: at least that of the offer, and what is charged
    #[arg(long)]
    price: String,
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    disputes: Pinned,
}

/// A job to post.
#[derive(Debug, Args)]
pub struct Wanted {
    /// The highest price of a bid for 1000 units, such as 0.005USD
    #[arg(long)]
    max_price: String,
    #[command(flatten)]
    work: Work,
    /// For how many seconds bids are taken, 60 to 604800
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    bidding: u32,
    /// Only providers of this region
    #[arg(long, default_value = "", hide_default_value = true)]
    region: String,
    /// Only providers of this class of performance
    #[arg(long, default_value = "", hide_default_value = true)]
    class: String,
    /// Only providers that have bonded so much, such as 1000STK
    #[arg(long, value_name = "AMOUNT")]
    min_bond: Option<String>,
    /// Only providers of at least this score for the model, in 1/10,000
    #[arg(long, value_name = "BPS", default_value_t = 0)]
    min_score: u16,
}

/// On which terms of disputes somebody insists.
#[derive(Debug, Clone, Args)]
pub struct Pinned {
    /// Refuse any other way of deciding disputes than that of this hash; `council` refuses any arbiters
    /// [default: as the node says now, and shown]
    #[arg(long, value_name = "HASH|council")]
    dispute_terms: Option<String>,
}

impl ModeArgs {
    fn mode(&self, app: &App) -> Answer<Mode> {
        if !self.acks {
            return Ok(Mode::ProviderClaims { proof_interval: Units::new(self.proof_interval) });
        }
        let ack_key = match (&self.ack_key, &self.ack_from) {
            (Some(key), _) => *key,
            (None, Some(name)) => app.public_key(name)?,
            (None, None) => {
                return Err(CliError::Usage("--acks needs --ack-key or --ack-from: who signs acknowledgements".into()));
            }
        };
        Ok(Mode::ClientAcks { quantum: Units::new(self.quantum), ack_key })
    }
}

impl Work {
    fn funding(&self, app: &App) -> Answer<Funding> {
        Ok(match (&self.on_behalf_of, self.prepaid) {
            (Some(payer), _) => Funding::OnBehalf { payer: app.address(payer)? },
            (None, true) => Funding::Prepaid {},
            (None, false) => Funding::Wallet {},
        })
    }

    fn silence(&self) -> u32 {
        self.silence.unwrap_or(if self.mode.acks { self.duration } else { 300 })
    }
}

/// Which offer of a provider.
pub type Offered = (ModelId, AssetId, UnitKind);

impl Pinned {
    /// The hash that is signed. Of the offer as the node shows it, which is told; its terms can change until the job
    /// begins, and then it does not begin.
    pub async fn of_offer(&self, app: &App, node: &Node, provider: Address, key: Offered) -> Answer<Option<Hash>> {
        if let Some(said) = self.said()? {
            return Ok(said);
        }
        let offers = node.client.get_provider(provider).await?.offers.unwrap_or_default();
        let found = offers.into_iter().find(|offer| (offer.model, offer.asset, offer.unit_kind) == key);
        let none = || CliError::Failed(format!("{} offers no {} with this model", app.names().short(&provider), key.2));
        let OfferView { dispute_terms, arbiters, arbiters_needed, no_verdict_provider_bps, .. } =
            found.ok_or_else(none)?;
        let terms = DisputeTermsView { hash: dispute_terms, arbiters, arbiters_needed, no_verdict_provider_bps };
        self.tell(app, &terms);
        Ok(Some(dispute_terms))
    }

    /// The hash that is signed, of these terms unless another was said.
    pub fn of_terms(&self, app: &App, terms: &DisputeTermsView) -> Answer<Option<Hash>> {
        if let Some(said) = self.said()? {
            return Ok(said);
        }
        self.tell(app, terms);
        Ok(Some(terms.hash))
    }

    /// What was said: a hash, or none, which means the council.
    fn said(&self) -> Answer<Option<Option<Hash>>> {
        match self.dispute_terms.as_deref() {
            None => Ok(None),
            Some("council") => Ok(Some(None)),
            Some(hash) => {
                let hash = hash.parse().map_err(|error| CliError::Usage(format!("--dispute-terms {hash}: {error}")))?;
                Ok(Some(Some(hash)))
            }
        }
    }

    fn tell(&self, app: &App, terms: &DisputeTermsView) {
        if !app.json {
            eprintln!("disputes: decided by {}; {}", who(&app.names(), terms), without_verdict(terms));
        }
    }
}

/// What is opened.
pub async fn opening(app: &App, node: &Node, wish: &Wish) -> Answer<Opening> {
    let work = &wish.work;
    let (asset, deposit) = node.amount(&work.deposit).await?;
    let (provider, model) = (app.address(&wish.provider)?, model(node, &work.model).await?);
    let (price, mode) = (price_of(node, asset, &wish.price).await?, work.mode.mode(app)?);
    let unit_kind = work.unit.into();
    Ok(Opening {
        funding: work.funding(app)?,
        provider,
        model,
        asset,
        unit_kind,
        deposit,
        price,
        duration_s: work.duration,
        silence_s: work.silence(),
        mode,
        dispute_terms: wish.disputes.of_offer(app, node, provider, (model, asset, unit_kind)).await?,
        client_ref: work.client_ref.as_ref().map(|name| text("--ref", name)).transpose()?,
    })
}

/// What is posted.
pub async fn posting(app: &App, node: &Node, wanted: &Wanted) -> Answer<Posting> {
    let work = &wanted.work;
    let (asset, deposit) = node.amount(&work.deposit).await?;
    let min_bond = match &wanted.min_bond {
        Some(text) => bond_amount(node, text).await?,
        None => Default::default(),
    };
    let (region, class) = (text("--region", &wanted.region)?, text("--class", &wanted.class)?);
    Ok(Posting {
        funding: work.funding(app)?,
        model: model(node, &work.model).await?,
        asset,
        unit_kind: work.unit.into(),
        deposit,
        max_price: price_of(node, asset, &wanted.max_price).await?,
        duration_s: work.duration,
        silence_s: work.silence(),
        mode: work.mode.mode(app)?,
        bidding_s: wanted.bidding,
        requirements: Requirements { region, class, min_bond, min_score_bps: wanted.min_score },
        client_ref: work.client_ref.as_ref().map(|name| text("--ref", name)).transpose()?,
    })
}
