//! The one list of namespaces (domain tags). A digest or signature made for one purpose can never
//! be read as another, because the framed bytes start with the length and text of the namespace.
//!
//! Adding a use = adding a line here. Changing the meaning of the bytes under a namespace = a new
//! number at its end.
//!
//! Invariants (tested): all texts are distinct, none is a prefix of another, each is at most 255
//! bytes. The length prefix alone already separates them; the prefix rule is belt and braces.

/// Writes the enum, its texts and [`Namespace::ALL`] from a single list, so that none of the three
/// can lack an entry.
macro_rules! namespaces {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What a framed string is for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Namespace {
            $($(#[$doc])* $name,)+
        }

        impl Namespace {
            /// Every namespace there is.
            pub const ALL: &'static [Namespace] = &[$(Namespace::$name,)+];

            /// The text that goes into the framed bytes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Namespace::$name => $text,)+
                }
            }
        }
    };
}

namespaces! {
    /// The canonical genesis; its hash is the chain id. Framed with 32 zero bytes as chain id.
    Genesis = "ait/genesis/1",
    /// The signing bytes of a transaction; their hash is the `tx_id`.
    Tx = "ait/tx/1",
    /// The complete signed bytes of a transaction; their hash is the `wire_id`.
    Wire = "ait/wire/1",
    /// A block header; its hash is the block id.
    Block = "ait/block/1",
    /// The root over a block's `wire_id`s.
    TxRoot = "ait/txroot/1",
    /// The outcome of an executed transaction.
    Outcome = "ait/outcome/1",
    /// An event of an executed transaction or block.
    Event = "ait/event/1",
    /// The name of something a block did by itself, in place of a transaction's `wire_id`.
    Item = "ait/item/1",
    /// A validator set.
    Validators = "ait/validators/1",
    /// The address of a multi-key account. Framed with 32 zero bytes as chain id.
    Multikey = "ait/multikey/1",
    /// The address of a module account. Framed with 32 zero bytes as chain id.
    Module = "ait/module/1",
    /// Key of the state tree's leaf hash.
    StateLeaf = "ait/state-leaf/1",
    /// Key of the state tree's inner-node hash.
    StateNode = "ait/state-node/1",
    /// The state root: tree root mixed with the leaf count.
    StateRoot = "ait/state-root/1",
    /// The digest of a stored value.
    StateValue = "ait/state-value/1",
    /// A leaf of a plain Merkle tree.
    MerkleLeaf = "ait/merkle-leaf/1",
    /// An inner node of a plain Merkle tree.
    MerkleNode = "ait/merkle-node/1",
    /// The root of a plain Merkle tree: top node mixed with the count.
    MerkleRoot = "ait/merkle-root/1",
    /// A leader's signed proposal.
    Proposal = "ait/proposal/1",
    /// A signed vote to notarise a block.
    Notarize = "ait/notarize/1",
    /// A signed vote to give up a view.
    Nullify = "ait/nullify/1",
    /// A signed vote to finalise a block.
    Finalize = "ait/finalize/1",
    /// A validator's word that a transport identity is its own.
    Handshake = "ait/handshake/1",
    /// The short name of a transaction inside one block.
    ShortId = "ait/short/1",
    /// The proof of possession of a new authorisation key.
    Rotate = "ait/rotate/1",
    /// What a model is. Framed with 32 zero bytes as chain id.
    Model = "ait/model/1",
    /// A receipt of metered work: the next one names its hash.
    Receipt = "ait/receipt/2",
    /// A consumer's off-chain acknowledgement of delivered compute.
    Ack = "ait/ack/1",
    /// The clear-text rendering of a transaction that a person signs.
    Text = "ait/text/1",
    /// A payer's word towards a provider's host that it is there. Never on the chain.
    Login = "ait/login/1",
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_is_a_prefix_of_another() {
        for (i, a) in Namespace::ALL.iter().enumerate() {
            for (j, b) in Namespace::ALL.iter().enumerate() {
                // Equal texts are prefixes of each other, so this also says: all are distinct.
                assert!(i == j || !b.as_str().starts_with(a.as_str()), "{a:?} is a prefix of {b:?}");
            }
        }
    }

    #[test]
    fn texts_have_the_one_form_and_their_length_fits_a_byte() {
        for ns in Namespace::ALL {
            let text = ns.as_str();
            assert!(text.len() <= usize::from(u8::MAX));
            let parts: Vec<&str> = text.split('/').collect();
            let [chain, name, version] = parts[..] else { panic!("{text} is not ait/NAME/VERSION") };
            assert_eq!(chain, "ait");
            assert!(!name.is_empty());
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(version.parse::<u8>().unwrap() >= 1);
        }
    }
}
