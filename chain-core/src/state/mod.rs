//! The chain's state: typed tables over rows, the rows' commitment, money.
//!
//! | table | rows | in |
//! |---|---|---|
//! | 1 | accounts | `account` |
//! | 2 | balances of other assets | `money` |
//! | 3, 4, 7 | assets, their symbols, the next asset's number | `money` |
//! | 5 | parameters | `params` |
//! | 6, 8, 9, 25 | validator sets, what is known of a validator, the roster, who left it | `validators` |
//! | 22, 24 | convicted keys, keys jailed while away | `validators` |
//! | 10, 11 | version of the rules with the quorum rule, roles | `protocol` |
//! | 23 | changes of parameters | `params` |
//! | 12 to 15, 20 | mode and stake asset, stakes of validators, delegations, unbonding and its batches | `stakes` |
//!
//! A family's own tables are declared in its folder and have numbers from 16, but for 20 and 22 to 25.

pub mod account;
pub mod council;
pub mod market;
pub mod money;
mod now;
mod overlay;
pub mod params;
mod proof;
pub mod protocol;
mod row_key;
pub mod stakes;
mod table;
mod tree;
pub mod validators;

pub use account::{ACCOUNTS, Account, Authority};
pub use money::{Asset, Supply, Symbol};
pub use now::Now;
pub use overlay::{Mark, Overlay};
pub use params::{PARAM_CHANGES, PARAMS, Param, ParamChange, ParamChangeError, ParamError, Params};
pub use proof::{Content, Proof, ProofError};
pub use protocol::{Protocol, Role, Roles};
pub use row_key::{BadRowKey, RowKey};
pub use table::{Key, Rows, Table, decode_value, encode_value};
pub use tree::{Change, Delta, RebuildError, RowChange, Stale, Tree, Undo};
pub use validators::{JailCause, Span, Standing, ValidatorRecord};

use crate::fault::Fault;

/// The parameters in force.
pub fn params(rows: &impl Rows) -> Result<Params, Fault> {
    PARAMS.get(rows, &())?.ok_or_else(|| Fault::new("the state has no parameters"))
}
