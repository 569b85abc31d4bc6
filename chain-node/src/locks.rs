//! Locks whose holders cannot leave them half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock: a panic elsewhere does not make it useless.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
