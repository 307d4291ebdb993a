//! Accounts of providers as the store holds them, and the heads that wait for them.

use super::{StoreError, version::AccountVersion};
use crate::{
    account::{Account, AccountKey},
    class::Class,
    ids::{JobId, LaneKey},
};

/// The most accounts of a store. [`Store::swap_account`](super::Store::swap_account) creates no more.
pub const ACCOUNTS_MAX: usize = 1_000;

/// An account as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAccount {
    /// The name of the account.
    pub key: AccountKey,
    /// The version of the document.
    pub version: AccountVersion,
    /// The document.
    pub account: Account,
}

/// The accounts of a store.
#[derive(Debug, Default)]
pub struct StoredAccounts {
    /// The accounts that this process can read.
    pub accounts: Vec<StoredAccount>,
    /// The accounts that this process cannot read. It must not change them.
    pub unreadable: Vec<UnreadableAccount>,
}

/// An account that this process cannot read.
#[derive(Debug)]
pub struct UnreadableAccount {
    /// The name of the account.
    pub key: AccountKey,
    /// Why it cannot be read: [`StoreError::Newer`] if a newer release wrote it, [`StoreError::Broken`] otherwise.
    pub error: StoreError,
}

/// A change of an account's document: a compare-and-set.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSwap {
    /// The name of the account.
    pub key: AccountKey,
    /// The version that was read, or `None` if the store had no such account.
    pub expected: Option<AccountVersion>,
    /// The version after the swap.
    pub version: AccountVersion,
    /// The new document. `None` removes the account.
    pub next: Option<Account>,
}

/// The head of a lane that waits for its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredHead {
    /// The lane.
    pub lane: LaneKey,
    /// The job at the head.
    pub job: JobId,
    /// Whether a worker has claimed the job since its admission. If not, the job has not failed.
    pub claimed: bool,
}

/// How many heads of a class wait for an account, with the jobs behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredCount {
    /// The account.
    pub account: AccountKey,
    /// The class of the heads.
    pub class: Class,
    /// The number of heads; not 0.
    pub heads: u64,
    /// The number of jobs in the lanes of these heads: the heads and the jobs behind them, of any class. At least `heads`. An older
    /// release does not count the jobs behind a head, so after its commits the number may be wrong until no head waits.
    pub jobs: u64,
}
