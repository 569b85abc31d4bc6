//! The rejections of the envelope and of admission (numbers 1 to 49), and the list of all.
//! Families number theirs from 100 · family; money in the state has 50 to 69, the market there 70 to 99.

use super::FAMILIES;
use crate::state::{market, money};
use crate::types::{Rejection, rejections};

rejections! {
    /// The rejections of the envelope and of admission.
    ENVELOPE_REJECTIONS =
    1 MALFORMED "malformed" "the bytes are not a transaction";
    2 TOO_LONG "too_long" "the transaction is longer than allowed";
    3 UNKNOWN_VERSION "unknown_version" "this version of transactions is not known";
    4 WRONG_CHAIN "wrong_chain" "the transaction is for another chain";
    5 UNKNOWN_ACTION "unknown_action" "no action has this number";
    6 ACTION_COUNT "action_count" "a transaction has 1 to 16 actions";
    7 FEE_PAYER_IS_SENDER "fee_payer_is_sender" "the fee payer must be another account than the sender";
    8 AUTHORISATION_MISSING "authorisation_missing" "there must be an authorisation for the sender and one for the fee payer, if any";
    9 MULTI_KEY_FORM "multi_key_form" "keys must ascend strictly, 1 ≤ threshold ≤ keys, with exactly threshold signatures";
    10 BAD_SIGNATURE "bad_signature" "a signature does not verify";
    11 MODULE_ACCOUNT "module_account" "nobody signs for this account: it is the protocol's, or the zero address";
    12 AMOUNT_OUT_OF_RANGE "amount_out_of_range" "an amount must be at least 1 and at most 10^30 base units";
    13 BAD_PROOF "bad_proof" "a signature inside an action does not verify for this transaction";
    20 WRONG_POLICY "wrong_policy" "the carried key or policy is not the account's";
    21 NONCE_TOO_LOW "nonce_too_low" "a transaction with this nonce has already been executed";
    22 NONCE_TOO_HIGH "nonce_too_high" "the nonce is too far ahead of the account's";
    23 FEE_TOO_LOW "fee_too_low" "the fee is below the minimum for this weight";
    24 FEE_UNPAYABLE "fee_unpayable" "the fee payer cannot pay the fees of its pooled transactions";
    25 EXPIRED "expired" "the transaction is only valid up to an earlier block";
    26 EXPIRES_TOO_SOON "expires_too_soon" "valid_until must be at least 10 blocks ahead";
    27 TOO_HEAVY "too_heavy" "the transaction is heavier than a block may be";
    30 POOL_FULL "pool_full" "the pool is full and the fee per weight is too low to displace another";
    31 LANE_FULL "lane_full" "the sender has too many transactions waiting";
    32 REPLACEMENT_UNDERPRICED "replacement_underpriced" "replacing a pooled transaction needs a fee at least 10 % higher";
    33 REPLACED_TOO_OFTEN "replaced_too_often" "this nonce has been replaced too often; wait for it to be executed";
}

/// Every rejection of the protocol.
pub fn all_rejections() -> impl Iterator<Item = &'static Rejection> {
    let families = FAMILIES.iter().flat_map(|family| family.rejections);
    ENVELOPE_REJECTIONS.iter().chain(money::REJECTIONS).chain(market::REJECTIONS).chain(families).copied()
}

/// The rejection of a number, as found in a stored outcome.
pub fn rejection(number: u16) -> Option<&'static Rejection> {
    all_rejections().find(|rejection| rejection.number == number)
}
