//! The accounts of providers: one hash for the fleet. Each value is the account's version in 32 hex digits, a line feed, and
//! the account as JSON.

use forebay_shared::{
    account::AccountKey,
    document,
    ids::JobId,
    store::{
        ACCOUNTS_MAX, AccountSwap, AccountVersion, StoreError, StoredAccount, StoredAccounts,
        Topic, UnreadableAccount,
    },
};
use redis::cmd;

use super::{
    arguments::Arguments, redis_error::UnexpectedReply, redis_store::RedisStore,
    reply_part::ReplyPart,
};
use crate::rejection::{OnStoreFull, broken_data};

/// The length of a version in hex digits.
const VERSION_LENGTH: usize = 32;

impl RedisStore {
    /// Reads all accounts. One that cannot be read does not hide the others.
    pub(super) async fn read_accounts(&self) -> Result<StoredAccounts, StoreError> {
        let mut command = cmd("HGETALL");
        command.arg(self.keys.accounts());
        let value = self.connections.run(&command, OnStoreFull::Retry).await?;
        let mut parts = ReplyPart::new("HGETALL of accounts", value).list()?;
        let mut read = StoredAccounts::default();
        while let (Some(key), Some(stored)) = (parts.next(), parts.next()) {
            let key = AccountKey::from_text(key.text()?);
            match read_account(key.clone(), &stored.bytes()?) {
                Ok(account) => read.accounts.push(account),
                Err(error) => read.unreadable.push(UnreadableAccount { key, error }),
            }
        }
        Ok(read)
    }

    /// Writes or removes an account, if it still has the expected version. Returns whether the account
    /// now has the state of the swap.
    pub(super) async fn swap(&self, swap: &AccountSwap) -> Result<bool, StoreError> {
        let version = swap.version.simple().to_string();
        let stored = match &swap.next {
            Some(account) => {
                let json = serde_json::to_string(account).map_err(broken_data)?;
                format!("{version}\n{json}")
            }
            None => String::new(),
        };
        let expected = swap.expected.map(|version| version.simple().to_string());
        let mut args = Arguments::default();
        args.push(swap.key.as_str())
            .push(expected.unwrap_or_default())
            .push(version)
            .push(stored)
            .push_text(ACCOUNTS_MAX)
            .push(self.keys.channel(&Topic::Accounts))
            .push(JobId::NIL.to_string());
        let key = self.keys.accounts();
        let reply =
            self.connections
                .eval(&self.scripts.swap_account, &key, &args, OnStoreFull::Retry);
        match reply.await?.int()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(broken_data(UnexpectedReply("swap_account"))),
        }
    }
}

fn read_account(key: AccountKey, stored: &[u8]) -> Result<StoredAccount, StoreError> {
    let unexpected = || broken_data(UnexpectedReply("accounts"));
    let (version, json) = stored
        .split_at_checked(VERSION_LENGTH)
        .ok_or_else(unexpected)?;
    let json = json.strip_prefix(b"\n").ok_or_else(unexpected)?;
    Ok(StoredAccount {
        key,
        version: AccountVersion::try_parse_ascii(version).map_err(broken_data)?,
        account: document::read(json)?,
    })
}
