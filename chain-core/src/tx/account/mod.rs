//! Who may sign for an account, and what the account asks of those who pay it.
//!
//! | action | bytes after `02` | fields |
//! |---|---|---|
//! | `rotate_key` | `01` | new_key 32 · proof 64 |
//! | `set_multi_key` | `02` | threshold u8 · keys (u32 count ≤ 16, 32 each) · proofs (u32 count ≤ 16, 64 each) |
//! | `set_memo_required` | `03` | required (`00` or `01`) |
//!
//! Rules:
//! 1. A new key is a usable public key: canonical, on the curve, not of small order.
//! 2. Whoever holds a new key has agreed: its proof is a signature over
//!    `ait/rotate/1 ‖ chain id ‖ account 32 ‖ nonce u64 ‖ authority`, where the nonce is that of
//!    the transaction and the authority `01 ‖ key` or `02 ‖ multi-key address`. So a proof serves
//!    one policy in one transaction of one account.
//! 3. The keys of a multi-key policy ascend strictly, 1 ≤ threshold ≤ keys ≤ 16, and there is one
//!    proof per key, in the keys' order.
//! 4. The address never changes; the new policy alone counts from the next transaction on, in the
//!    same block too.
//! 5. A policy the address derives from is stored as `derived`: one state has one form. So an
//!    account can return to where it came from.
//! 6. `set_memo_required` makes transfers to the account without a memo fail, or no longer.
//!
//! Delegates who may act within a scope come with the market.
//!
//! Not here: the comparison of a carried policy with the stored one (`execute`).

use super::{CheckContext, Context, Rules};
use crate::codec::{self, List};
use crate::crypto::{Namespace, PublicKey, SecretKey, Signature, signing_message};
use crate::fault::Failure;
use crate::limits::MAX_KEYS;
use crate::state::{Account, Authority, money};
use crate::types::{Address, AssetId, ChainId, Rejected, Rejection, Token};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Signatures under this key could never be valid, or always are.
pub const UNUSABLE_KEY: Rejection = Rejection::new(200, "unusable_key", "this is not a usable public key");
/// The parts of a multi-key policy don't fit together.
pub const POLICY_FORM: Rejection =
    Rejection::new(201, "policy_form", "keys must ascend strictly, 1 ≤ threshold ≤ keys, with one proof per key");
/// Rejections of this family.
pub const REJECTIONS: &[&Rejection] = &[&UNUSABLE_KEY, &POLICY_FORM];
/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[(1, "rotate_key"), (2, "set_multi_key"), (3, "set_memo_required")];

const WEIGHT: u64 = 200;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// One key signs for the account from now on.
    RotateKey {
        /// The key.
        new_key: PublicKey,
        /// Its proof of possession.
        proof: Signature,
    } = 1,
    /// Any `threshold` of `keys` sign for the account from now on.
    SetMultiKey {
        /// How many must sign.
        threshold: u8,
        /// The keys, strictly ascending.
        keys: List<PublicKey, MAX_KEYS>,
        /// The proofs of possession, in the keys' order.
        proofs: List<Signature, MAX_KEYS>,
    } = 2,
    /// Whether transfers to the account need a memo.
    SetMemoRequired {
        /// Whether they do.
        required: bool,
    } = 3,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Event {
    /// One key signs from the next transaction on.
    KeyRotated {
        /// For which account.
        account: Address,
        /// The key.
        new_key: PublicKey,
    } = 1,
    /// Several keys sign from the next transaction on.
    MultiKeySet {
        /// For which account.
        account: Address,
        /// How many must sign.
        threshold: u8,
        /// The keys.
        keys: List<PublicKey, MAX_KEYS>,
    } = 2,
    /// Transfers to the account need a memo, or no longer.
    MemoRequiredSet {
        /// Which account.
        account: Address,
        /// Whether they do.
        required: bool,
    } = 3,
}

/// What the holder of a new key signs: `authority` is `Key` of a single key or `MultiKey` of the
/// policy's address ([`Address::of_multi_key`]), never `Derived`; see rule 2.
pub fn proof_message(chain: &ChainId, account: &Address, nonce: u64, authority: &Authority) -> Vec<u8> {
    signing_message(Namespace::Rotate, &chain.0, &codec::encode(&(account, nonce, authority)))
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::RotateKey { new_key, .. } => check_keys(std::slice::from_ref(new_key)),
            Self::SetMultiKey { threshold, keys, proofs } => {
                let ascending = keys.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
                let reachable = (1..=keys.len()).contains(&usize::from(*threshold));
                if !ascending || !reachable || proofs.len() != keys.len() {
                    return Err(POLICY_FORM.plain());
                }
                check_keys(keys)
            }
            Self::SetMemoRequired { .. } => Ok(()),
        }
    }

    fn signatures(&self, context: &CheckContext) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        let (keys, proofs) = match self {
            Self::RotateKey { new_key, proof } => (std::slice::from_ref(new_key), std::slice::from_ref(proof)),
            Self::SetMultiKey { keys, proofs, .. } => (&**keys, &**proofs),
            Self::SetMemoRequired { .. } => return Vec::new(),
        };
        let authority = self.authority().unwrap_or_default();
        let message = proof_message(&context.chain, &context.sender, context.nonce, &authority);
        keys.iter().zip(proofs).map(|(key, proof)| (*key, message.clone(), *proof)).collect()
    }

    fn weight(&self) -> u64 {
        WEIGHT
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let account = context.sender;
        let mut row = money::account(context.state, &account)?;
        if let Some(authority) = self.authority() {
            row.authority = stored(&account, authority);
        }
        let event = match self {
            Self::RotateKey { new_key, .. } => Event::KeyRotated { account, new_key: *new_key },
            Self::SetMultiKey { threshold, keys, .. } => {
                Event::MultiKeySet { account, threshold: *threshold, keys: keys.clone() }
            }
            Self::SetMemoRequired { required } => {
                row = Account { memo_required: *required, ..row };
                Event::MemoRequiredSet { account, required: *required }
            }
        };
        money::put_account(context.state, &account, &row);
        context.emit(super::Event::Account(event));
        Ok(())
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::RotateKey { new_key, .. } => {
                format!("Let only the key {new_key} sign for this account from the next transaction on")
            }
            Self::SetMultiKey { threshold, keys, .. } => {
                let list: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
                let (count, list) = (keys.len(), list.join(", "));
                format!(
                    "Let only {threshold} of these {count} keys together sign for this account \
                     from the next transaction on: {list}"
                )
            }
            Self::SetMemoRequired { required: true } => "Require a memo of transfers to this account".into(),
            Self::SetMemoRequired { required: false } => "Require no memo of transfers to this account".into(),
        }
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

impl Action {
    /// The policy the action sets, as its proofs name it.
    fn authority(&self) -> Option<Authority> {
        match self {
            Self::RotateKey { new_key, .. } => Some(Authority::Key(*new_key)),
            Self::SetMultiKey { threshold, keys, .. } => {
                Some(Authority::MultiKey(Address::of_multi_key(*threshold, keys)))
            }
            Self::SetMemoRequired { .. } => None,
        }
    }
}

/// The one form in which a policy of an account is stored.
fn stored(account: &Address, authority: Authority) -> Authority {
    let derives = match authority {
        Authority::Derived => true,
        Authority::Key(key) => Address::of_key(&key) == *account,
        Authority::MultiKey(policy) => policy == *account,
    };
    if derives { Authority::Derived } else { authority }
}

fn check_keys(keys: &[PublicKey]) -> Result<(), Rejected> {
    let unusable = |e| UNUSABLE_KEY.because("a canonical point of large order", e);
    keys.iter().try_for_each(|key| key.validate().map_err(unusable))
}

/// An example of every action, with proofs that are right in [`CheckContext::example`].
pub fn examples() -> Vec<Action> {
    let place = CheckContext::example();
    let message = |authority| proof_message(&place.chain, &place.sender, place.nonce, &authority);
    let mut secrets = [2, 3, 4].map(|seed| SecretKey::from_seed(&[seed; 32]));
    secrets.sort_by_key(SecretKey::public);
    let [first, ..] = &secrets;
    let proof = first.sign(&message(Authority::Key(first.public())));
    let keys: List<_, MAX_KEYS> = List::new(secrets.iter().map(SecretKey::public).collect()).unwrap_or_default();
    let both = message(Authority::MultiKey(Address::of_multi_key(2, &keys)));
    let proofs = List::new(secrets.iter().map(|secret| secret.sign(&both)).collect()).unwrap_or_default();
    vec![
        Action::RotateKey { new_key: first.public(), proof },
        Action::SetMultiKey { threshold: 2, keys, proofs },
        Action::SetMemoRequired { required: true },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
