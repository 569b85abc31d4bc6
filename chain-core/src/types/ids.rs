//! Hashes with a meaning: each names one kind of thing and none converts into another.

use crate::crypto::Hash;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub crate::crypto::Hash);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = <Hash as FromStr>::Err;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// The hash of the canonical genesis: names the chain in everything hashed or signed.
    ChainId
}
id! {
    /// The hash of a block's header.
    BlockId
}
id! {
    /// The hash of a transaction's signing bytes: names the intent, whoever signed it how often.
    TxId
}
id! {
    /// The hash of a transaction's complete signed bytes: names exactly these bytes.
    WireId
}

id! {
    /// The hash of what a model is: `hash(ait/model/1, 32 zero bytes, repo ‖ file ‖ weights ‖ format)`, the same
    /// on every chain.
    ModelId
}

impl ChainId {
    /// The first four bytes: enough for a clear "wrong chain" before signatures are looked at.
    pub fn tag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = *self.0.as_bytes();
        [a, b, c, d]
    }
}
