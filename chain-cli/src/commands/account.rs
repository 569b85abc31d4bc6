//! `chain account`: who may sign for an account, and what it asks of those who pay it.

use chain_core::{
    codec::List,
    crypto::SecretKey,
    state::Authority,
    tx::{
        Action,
        account::{self, proof_message},
    },
    types::Address,
};
use clap::{Args, Subcommand, ValueEnum};

use super::{
    delegate::{self, DelegateAction},
    proof::authority_text,
};
use crate::{
    app::App,
    error::{Answer, CliError},
    output::money,
    send::{Facts, SendArgs, send},
};

/// Arguments of `chain account`.
#[derive(Debug, Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    action: AccountAction,
}

#[derive(Debug, Subcommand)]
enum AccountAction {
    /// Show an account: balance, nonce, who signs
    Show {
        /// A name or an address
        #[arg(value_name = "NAME|ADDRESS")]
        who: String,
    },
    /// Let another key sign for the account from now on; the address stays
    RotateKey {
        /// The new key, which must be at hand: it agrees by a signature of its own
        #[arg(long, value_name = "NAME")]
        new_key: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Let any M of several keys sign for the account from now on
    SetMultiKey {
        /// How many must sign
        #[arg(long, value_name = "M")]
        threshold: u8,
        /// Each key, which must be at hand: it agrees by a signature of its own
        #[arg(long = "key", value_name = "NAME", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Who may spend the account's money on jobs
    #[command(subcommand)]
    Delegate(DelegateAction),
    /// Refuse transfers to the account that carry no memo, or accept them again
    MemoRequired {
        /// Whether a memo is required
        required: Switch,
        #[command(flatten)]
        send: SendArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    /// Required
    On,
    /// Not required
    Off,
}

/// Runs `chain account …`.
pub async fn run(app: &App, args: &AccountArgs) -> Answer<()> {
    match &args.action {
        AccountAction::Delegate(action) => delegate::run(app, action).await,
        AccountAction::Show { who } => show(app, who).await,
        AccountAction::RotateKey { send: args, new_key } => {
            let key = app.signer(new_key)?.seed().secret_key();
            let node = app.connect().await?;
            send(app, &node, args, |facts| Ok(vec![Action::Account(rotation(facts, &key))])).await
        }
        AccountAction::SetMultiKey { send: args, threshold, keys } => {
            let keys = keys.iter().map(|name| Ok(app.signer(name)?.seed().secret_key())).collect::<Answer<Vec<_>>>()?;
            let node = app.connect().await?;
            send(app, &node, args, |facts| Ok(vec![Action::Account(multi_key(facts, *threshold, keys)?)])).await
        }
        AccountAction::MemoRequired { send: args, required } => {
            let required = matches!(required, Switch::On);
            let node = app.connect().await?;
            send(app, &node, args, |_| Ok(vec![Action::Account(account::Action::SetMemoRequired { required })])).await
        }
    }
}

async fn show(app: &App, who: &str) -> Answer<()> {
    let address = app.address(who)?;
    let node = app.connect().await?;
    let account = node.client.get_account(address).await?;
    let native = node.native().await?;
    app.print(&account, |lines| {
        lines.line(format_args!("{} at block {}", app.names().with(&address), account.height));
        lines.pair("  balance", money(&native, account.balance));
        lines.pair("  nonce", format_args!("{} (next: {})", account.nonce.0, account.next_nonce.0));
        lines.pair(
            "  signs",
            if account.module {
                "nobody: the protocol's own".into()
            } else {
                authority_text(&app.names(), &account.authority)
            },
        );
        lines.pair("  memo", if account.memo_required { "required" } else { "not required" });
        if !account.balances.is_empty() {
            lines.pair("  assets", format_args!("{} others; `chain balance` shows them", account.balances.len()));
        }
    })
}

/// The action by which one key takes over, with its consent.
fn rotation(facts: &Facts, key: &SecretKey) -> account::Action {
    let authority = Authority::Key(key.public());
    let message = proof_message(&facts.chain, &facts.sender, facts.nonce, &authority);
    account::Action::RotateKey { new_key: key.public(), proof: key.sign(&message) }
}

/// The action by which several keys take over, with the consent of each.
fn multi_key(facts: &Facts, threshold: u8, mut keys: Vec<SecretKey>) -> Answer<account::Action> {
    keys.sort_by_key(SecretKey::public);
    let public: Vec<_> = keys.iter().map(SecretKey::public).collect();
    let authority = Authority::MultiKey(Address::of_multi_key(threshold, &public));
    let message = proof_message(&facts.chain, &facts.sender, facts.nonce, &authority);
    let proofs = keys.iter().map(|key| key.sign(&message)).collect();
    let (keys, proofs) = (List::new(public).map_err(CliError::usage)?, List::new(proofs).map_err(CliError::usage)?);
    Ok(account::Action::SetMultiKey { threshold, keys, proofs })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chain_core::testing::{self, Signer, address, key};

    use super::*;

    #[test]
    fn consent_is_what_the_chain_expects() {
        let facts = Facts { chain: testing::chain(), sender: address(1), nonce: 3 };
        assert_eq!(rotation(&facts, &key(2)), testing::rotation(&address(1), 3, &Signer::Key(2)));
        let several = multi_key(&facts, 2, vec![key(4), key(2), key(3)]).unwrap();
        assert_eq!(several, testing::rotation(&address(1), 3, &Signer::Multi(2, vec![2, 3, 4])));
    }
}
