//! Forms that several families ask of texts and lists.
//!
//! Not here: amounts (`tx`), what a text or list is for (the families).

use crate::state::market::{LIST_FORM, TEXT_EMPTY};
use crate::tx::MODULE_ACCOUNT;
use crate::types::{Address, Rejected};

/// A list with something in it, and nothing twice.
pub fn check_list<T: Ord>(items: &[T]) -> Result<(), Rejected> {
    if items.is_empty() { Err(LIST_FORM.because("at least one entry", 0)) } else { check_unique(items) }
}

/// A list with nothing in it twice.
pub fn check_unique<T: Ord>(items: &[T]) -> Result<(), Rejected> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort();
    sorted.dedup();
    if sorted.len() < items.len() {
        return Err(LIST_FORM.because(format_args!("{} different entries", items.len()), sorted.len()));
    }
    Ok(())
}

/// A text with something in it.
pub fn check_text(text: &str, what: &str) -> Result<(), Rejected> {
    if text.is_empty() { Err(TEXT_EMPTY.because(what, "nothing")) } else { Ok(()) }
}

/// Accounts somebody can sign for.
pub fn check_accounts<'a>(mut accounts: impl Iterator<Item = &'a Address>) -> Result<(), Rejected> {
    match accounts.find(|account| account.is_module() || **account == Address::default()) {
        Some(account) => Err(MODULE_ACCOUNT.because("an account somebody can sign for", account)),
        None => Ok(()),
    }
}
