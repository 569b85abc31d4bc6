//! Terms of assets. Rule 3.

use super::*;
use crate::state::market::ASSET_NOT_ACCEPTED;
use crate::state::market::terms::ASSET_TERMS;
use crate::state::money;

/// Rule 3, the form.
pub(super) fn check(terms: &AssetTerms) -> Result<(), Rejected> {
    let AssetTerms { min_deposit, max_deposit, min_price, max_price, .. } = *terms;
    check_amount(min_deposit)?;
    check_amount(max_deposit)?;
    let prices = min_price.is_valid() && max_price.is_valid();
    if min_deposit >= max_deposit || !prices || min_price >= max_price {
        return Err(
            TERMS_FORM.because("1 ≤ min < max", format_args!("{min_deposit} {max_deposit} {min_price} {max_price}"))
        );
    }
    Ok(())
}

/// Rule 3.
pub(super) fn set_terms(context: &mut Context<'_, '_>, asset: AssetId, terms: &AssetTerms) -> Result<(), Failure> {
    let by = context.sender;
    check_role(context.state, &by, WARDENS)?;
    money::check_asset(context.state, asset)?;
    if !terms.accepted && ASSET_TERMS.get(context.state, &asset)?.is_none() {
        return Err(ASSET_NOT_ACCEPTED.because("an asset that was accepted", asset).into());
    }
    ASSET_TERMS.put(context.state, &asset, terms);
    emit(context, Event::AssetTermsSet { by, asset, terms: *terms });
    Ok(())
}
