//! Who may sign for an account, and what the account asks of those who pay it.
//!
//! | action | bytes after `02` | fields |
//! |---|---|---|
//! | `rotate_key` | `01` | new_key 32 · proof 64 |
//! | `set_multi_key` | `02` | threshold u8 · keys (u32 count ≤ 16, 32 each) · proofs (u32 count ≤ 16, 64 each) |
//! | `set_memo_required` | `03` | required (`00` or `01`) |
//! | `delegate_set` | `04` | delegate 32 · scope · reset_spent (`00` or `01`) |
//! | `delegate_revoke` | `05` | delegate 32 |
//!
//! A scope is providers (u32 count ≤ 64, 32 each) · models (u32 count ≤ 64, 32 each) · assets (u32 count ≤ 16, each:
//! asset u32 · max_price (`00`, or `01` and u128) · max_job u128 · max_total u128) · expires_at (`00`, or `01` and
//! u64).
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
//! 7. `delegate_set` lets another account spend the account's money on jobs, within a scope: providers and models
//!    (an empty list: all), and per asset a greatest price, an amount for one job and one for all jobs together.
//!    Lists are without repetition, assets at least one.
//! 8. Setting it anew replaces the scope; what was spent of an asset the scope still has stays counted unless it is
//!    reset. A new delegate or a longer scope burns `account_fee`. Revoking ends it at once; open jobs go on.
//! 9. A grant holds while the one who can sign for the account is the one who could when it was set: a new key
//!    or policy suspends what the old one granted, until it is set anew or the old one is back.
//!
//! Not here: the use of a grant (the job family), the comparison of a carried policy with the stored one (`execute`).

use super::form::{check_list, check_unique};
use super::text::amount_text;
use super::{About, CheckContext, Context, MODULE_ACCOUNT, Rules};
use crate::codec::{self, List};
use crate::crypto::{Namespace, PublicKey, SecretKey, Signature, signing_message};
use crate::fault::{Failure, Fault};
use crate::limits::{MAX_GRANTED_ASSETS, MAX_KEYS};
use crate::state::market::grant::{Allowance, GRANTS, Grant, Scope, grant, grant_row};
use crate::state::{Account, Authority, money};
use crate::types::{Address, Amount, AssetId, ChainId, ModelId, Price, Rejected, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    200 UNUSABLE_KEY "unusable_key" "this is not a usable public key";
    201 POLICY_FORM "policy_form" "keys must ascend strictly, 1 ≤ threshold ≤ keys, with one proof per key";
    202 DELEGATE_IS_SELF "delegate_is_self" "an account is not its own delegate";
    203 SCOPE_FORM "scope_form" "a scope names at least one asset, each with amounts of at least 1";
    204 NO_DELEGATE "no_delegate" "this account is no delegate";
}
/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] =
    &[(1, "rotate_key"), (2, "set_multi_key"), (3, "set_memo_required"), (4, "delegate_set"), (5, "delegate_revoke")];

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
    /// Lets an account spend this one's money on jobs.
    DelegateSet {
        /// Which.
        delegate: Address,
        /// On which.
        scope: Scope,
        /// Whether what was spent counts no more.
        #[serde(default)]
        reset_spent: bool,
    } = 4,
    /// Lets it do so no more.
    DelegateRevoke {
        /// Which.
        delegate: Address,
    } = 5,
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
    /// An account may spend another's money on jobs.
    DelegateSet {
        /// Whose money.
        account: Address,
        /// Who.
        delegate: Address,
        /// On which jobs.
        scope: Scope,
        /// What counts as spent already.
        spent: List<(AssetId, Amount), MAX_GRANTED_ASSETS>,
        /// Burned for the new row, in native base units.
        row_fee: Amount,
    } = 4,
    /// It may no more.
    DelegateRevoked {
        /// Whose money.
        account: Address,
        /// Who.
        delegate: Address,
    } = 5,
}

/// What the holder of a new key signs: `authority` is `Key` of a single key or `MultiKey` of the
/// policy's address ([`Address::of_multi_key`]), never `Derived`; see rule 2.
pub fn proof_message(chain: &ChainId, account: &Address, nonce: u64, authority: &Authority) -> Vec<u8> {
    signing_message(Namespace::Rotate, &chain.0, &codec::encode(&(account, nonce, authority)))
}

impl Rules for Action {
    fn check(&self, context: &CheckContext) -> Result<(), Rejected> {
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
            Self::DelegateSet { delegate, scope, .. } => check_delegate(context, delegate, scope),
            Self::SetMemoRequired { .. } | Self::DelegateRevoke { .. } => Ok(()),
        }
    }

    fn signatures(&self, context: &CheckContext) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        let (keys, proofs) = match self {
            Self::RotateKey { new_key, proof } => (std::slice::from_ref(new_key), std::slice::from_ref(proof)),
            Self::SetMultiKey { keys, proofs, .. } => (&**keys, &**proofs),
            _ => return Vec::new(),
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
        match self {
            Self::DelegateSet { delegate, scope, reset_spent } => {
                return delegate_set(context, delegate, scope, *reset_spent);
            }
            Self::DelegateRevoke { delegate } => return delegate_revoke(context, delegate),
            _ => {}
        }
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
            Self::DelegateSet { .. } | Self::DelegateRevoke { .. } => return Ok(()),
        };
        money::put_account(context.state, &account, &row);
        context.emit(super::Event::Account(event));
        Ok(())
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
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
            Self::DelegateSet { delegate, scope, reset_spent } => delegate_text(delegate, scope, *reset_spent, tokens),
            Self::DelegateRevoke { delegate } => {
                format!("Let {delegate} spend no more of this account's money on jobs")
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::DelegateSet { delegate, .. } | Self::DelegateRevoke { delegate } => vec![*delegate],
            _ => vec![],
        }
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
            _ => None,
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

/// Rule 7.
fn check_delegate(context: &CheckContext, delegate: &Address, scope: &Scope) -> Result<(), Rejected> {
    if *delegate == context.sender {
        return Err(DELEGATE_IS_SELF.plain());
    }
    if delegate.is_module() || *delegate == Address::default() {
        return Err(MODULE_ACCOUNT.because("an account somebody can sign for", delegate));
    }
    check_unique(&scope.providers)?;
    check_unique(&scope.models)?;
    check_list(&scope.assets.iter().map(|allowance| allowance.asset).collect::<Vec<_>>())?;
    let sound = |allowance: &Allowance| {
        let amounts = !allowance.max_job.is_zero() && !allowance.max_total.is_zero();
        amounts && allowance.max_price.is_none_or(Price::is_valid)
    };
    match scope.assets.iter().find(|allowance| !sound(allowance)) {
        Some(allowance) => Err(SCOPE_FORM.because("amounts of at least 1", format_args!("asset {}", allowance.asset))),
        None => Ok(()),
    }
}

/// Rule 8.
fn delegate_set(
    context: &mut Context<'_, '_>,
    delegate: &Address,
    scope: &Scope,
    reset_spent: bool,
) -> Result<(), Failure> {
    let account = context.sender;
    let known = grant(context.state, &account, delegate)?;
    let row_fee = context.burn_growth_fee(known.as_ref().map(|known| &known.scope), scope)?;
    let authority = money::account(context.state, &account)?.authority;
    let kept = |grant: Grant| {
        let counts = |asset: AssetId| scope.assets.iter().any(|allowance| allowance.asset == asset);
        grant.spent.iter().filter(|(asset, _)| counts(*asset)).copied().collect()
    };
    let spent: Vec<_> = known.filter(|_| !reset_spent).map(kept).unwrap_or_default();
    let spent = List::new(spent).map_err(|e| Fault::new(format!("what a delegate spent: {e}")))?;
    let (delegate, scope) = (*delegate, scope.clone());
    let row = Grant { delegate, scope: scope.clone(), authority, spent: spent.clone() };
    GRANTS.put(context.state, &grant_row(&account, &delegate), &row);
    context.emit(super::Event::Account(Event::DelegateSet { account, delegate, scope, spent, row_fee }));
    Ok(())
}

fn delegate_revoke(context: &mut Context<'_, '_>, delegate: &Address) -> Result<(), Failure> {
    let (account, delegate) = (context.sender, *delegate);
    if grant(context.state, &account, &delegate)?.is_none() {
        return Err(NO_DELEGATE.because("a delegate of this account", delegate).into());
    }
    GRANTS.remove(context.state, &grant_row(&account, &delegate));
    context.emit(super::Event::Account(Event::DelegateRevoked { account, delegate }));
    Ok(())
}

fn delegate_text(
    delegate: &Address,
    scope: &Scope,
    reset_spent: bool,
    tokens: &dyn Fn(AssetId) -> Option<Token>,
) -> String {
    let allowance = |allowance: &Allowance| {
        let text = |amount: Amount| amount_text(allowance.asset, amount, tokens);
        let price = allowance.max_price.map_or("at any price".to_owned(), |price| {
            format!("at most {} per 1000 units", text(Amount::new(price.get())))
        });
        format!("{} for one and {} for all jobs, {price}", text(allowance.max_job), text(allowance.max_total))
    };
    let list = |items: Vec<String>, all: &str| if items.is_empty() { all.to_owned() } else { items.join(", ") };
    let assets: Vec<_> = scope.assets.iter().map(allowance).collect();
    let until = scope.expires_at.map_or("for ever".to_owned(), |at| format!("until {at} ms"));
    format!(
        "Let {delegate} spend this account's money on jobs {until}: {}; with providers: {}; for models: {}{}",
        assets.join(", "),
        list(scope.providers.iter().map(Address::to_string).collect(), "all"),
        list(scope.models.iter().map(ToString::to_string).collect(), "all"),
        if reset_spent { "; counting from nothing" } else { "" },
    )
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::KeyRotated { account, .. }
            | Self::MultiKeySet { account, .. }
            | Self::MemoRequiredSet { account, .. } => vec![*account],
            Self::DelegateSet { account, delegate, .. } | Self::DelegateRevoked { account, delegate } => {
                vec![*account, *delegate]
            }
        }
    }
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
        Action::DelegateSet { delegate: Address::from_bytes([7; 32]), scope: example_scope(), reset_spent: false },
        Action::DelegateRevoke { delegate: Address::from_bytes([7; 32]) },
    ]
}

fn example_scope() -> Scope {
    let allowance = Allowance {
        asset: AssetId::new(1),
        max_price: Some(Price::new(5_000)),
        max_job: Amount::new(10_000_000),
        max_total: Amount::new(100_000_000),
    };
    Scope {
        providers: List::default(),
        models: List::new(vec![ModelId(crate::crypto::Hash([5; 32]))]).unwrap_or_default(),
        assets: List::new(vec![allowance]).unwrap_or_default(),
        expires_at: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
