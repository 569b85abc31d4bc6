//! What every command is given: where the node and the keys are, and how to print. Finds out which node is meant, and
//! turns
//! names into addresses.
//!
//! Not here: calls (`node`), keys (`keys`).

use std::{collections::BTreeMap, fs};

use chain_core::{
    crypto::PublicKey,
    types::{Address, ChainId},
};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    commands::store::KeystoreArgs,
    error::{Answer, CliError},
    keys::{locate, resolve_signer, signer::Signer},
    node::Node,
    output::{self, Lines},
};

/// The node that is asked where nothing else is said.
const DEFAULT_RPC: &str = "http://127.0.0.1:8006";

/// Which node, and which chain it must be on.
#[derive(Debug, Clone, Default, Args)]
pub struct NodeArgs {
    /// The node's URL [default: the first of <devnet-dir>/nodes.json, else http://127.0.0.1:8006]
    #[arg(long, global = true, help_heading = "Node and keys", value_name = "URL", env = "CHAIN_RPC")]
    pub rpc: Option<String>,
    /// Refuse a node of another chain than this (0x… as `chain status` says it)
    #[arg(long, global = true, help_heading = "Node and keys", value_name = "ID")]
    pub chain_id: Option<ChainId>,
}

/// What every command is given.
#[derive(Debug)]
pub struct App {
    /// Whether results are JSON documents.
    pub json: bool,
    /// Where keys are.
    pub store: KeystoreArgs,
    /// Which node.
    pub node: NodeArgs,
}

/// What `nodes.json` of a devnet says of a node; other fields are the devnet's business.
#[derive(Deserialize)]
struct DevnetNode {
    name: String,
    rpc: String,
    validator: Option<PublicKey>,
    candidate: Option<PublicKey>,
}

/// What `accounts.json` of a devnet says of an account, without its secret.
#[derive(Deserialize)]
struct DevnetAccount {
    name: String,
    address: Address,
}

impl App {
    /// The node's URL.
    pub fn url(&self) -> Answer<String> {
        if let Some(url) = self.node.rpc.as_deref().filter(|url| !url.is_empty()) {
            return Ok(url.to_owned());
        }
        let path = self.store.devnet_dir.join("nodes.json");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(DEFAULT_RPC.to_owned()) };
        let bad = |why: &dyn std::fmt::Display| CliError::Failed(format!("{}: {why}", path.display()));
        let nodes: Vec<DevnetNode> = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        nodes.into_iter().next().map(|node| node.rpc).ok_or_else(|| bad(&"no nodes"))
    }

    /// Connects to the node.
    pub async fn connect(&self) -> Answer<Node> {
        Node::connect(&self.url()?, self.node.chain_id).await
    }

    /// The address a text means: an address, or the name of a key or devnet account.
    pub fn address(&self, text: &str) -> Answer<Address> {
        if text.starts_with("ait1") {
            return text.parse().map_err(CliError::usage);
        }
        let located = locate(text, &self.store.keystore()?, Some(&self.store.accounts()))?;
        Ok(Address::from_bytes(located.public_key()))
    }

    /// The public key a text means: `0x…`, or the name of a key or devnet account.
    pub fn public_key(&self, text: &str) -> Answer<PublicKey> {
        if text.starts_with("0x") {
            return text.parse().map_err(|error| CliError::Usage(format!("{text}: {error}")));
        }
        let located = locate(text, &self.store.keystore()?, Some(&self.store.accounts()))?;
        Ok(PublicKey(located.public_key()))
    }

    /// Unlocks the key a name means.
    pub fn signer(&self, name: &str) -> Answer<Signer> {
        let passphrase = self.store.passphrase().map_err(crate::keys::KeyError::from)?;
        Ok(resolve_signer(name, &self.store.keystore()?, Some(&self.store.accounts()), &passphrase)?)
    }

    /// Own names of addresses, to show instead of them. What can't be read has no name.
    pub fn names(&self) -> Names {
        let mut names = BTreeMap::new();
        let devnet = fs::read(self.store.accounts()).ok();
        let devnet = devnet.and_then(|bytes| serde_json::from_slice::<Vec<DevnetAccount>>(&bytes).ok());
        names.extend(devnet.unwrap_or_default().into_iter().map(|account| (account.address, account.name)));
        let nodes = fs::read(self.store.devnet_dir.join("nodes.json")).ok();
        let nodes = nodes.and_then(|bytes| serde_json::from_slice::<Vec<DevnetNode>>(&bytes).ok()).unwrap_or_default();
        let nodes = nodes.into_iter().filter_map(|node| Some((node.validator.or(node.candidate)?, node.name)));
        names.extend(nodes.map(|(key, name)| (Address::of_key(&key), name)));
        let keys = self.store.keystore().and_then(|keystore| keystore.list()).unwrap_or_default();
        let keys = keys.into_iter().filter_map(|(name, file)| Some((*file.ok()?.public_key(), name.to_string())));
        names.extend(keys.map(|(key, name)| (Address::from_bytes(key), name)));
        Names(names)
    }

    /// Prints a result.
    pub fn print(&self, document: &impl Serialize, lines: impl FnOnce(&mut Lines)) -> Answer<()> {
        output::print(self.json, document, lines)
    }
}

/// Own names of addresses.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<Address, String>);

impl Names {
    /// The name of an address, if it has one.
    pub fn get(&self, address: &Address) -> Option<&str> {
        self.0.get(address).map(String::as_str)
    }

    /// The address with its name, if it has one.
    pub fn with(&self, address: &Address) -> String {
        match self.get(address) {
            Some(name) => format!("{address} ({name})"),
            None => address.to_string(),
        }
    }

    /// The name of a validator by its key, or the key.
    pub fn validator(&self, key: &PublicKey) -> String {
        self.get(&Address::of_key(key)).map_or_else(|| key.to_string(), str::to_owned)
    }

    /// The name, or the address.
    pub fn short(&self, address: &Address) -> String {
        self.get(address).map_or_else(|| address.to_string(), str::to_owned)
    }

    /// The text with names in place of addresses.
    pub fn replace(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (address, name)| {
            // A plain account's address is its key, and validators are named by that.
            let key = PublicKey(*address.as_bytes());
            text.replace(&address.to_string(), name).replace(&key.to_string(), name)
        })
    }
}
