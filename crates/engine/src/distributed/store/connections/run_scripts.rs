//! Runs Lua scripts: one by one, or many together.

use forebay_shared::store::StoreError;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use super::{RedisConnections, into_retryable_error};
use crate::{
    distributed::store::{arguments::Arguments, reply_part::ReplyPart, scripts::LuaScript},
    rejection::{OnStoreFull, Rejection},
};

/// A script with more bytes of arguments than this goes over a connection for large commands.
const LARGE_COMMAND_BYTES: usize = 256 * 1024;

impl RedisConnections {
    /// Runs a script on a key: by its digest, or with its source if the server does not know the digest.
    pub(in crate::distributed::store) async fn eval(
        &self,
        script: &LuaScript,
        key: &str,
        args: &Arguments,
        on_store_full: OnStoreFull,
    ) -> Result<ReplyPart, StoreError> {
        if args.bytes() > LARGE_COMMAND_BYTES {
            return self.eval_in_bulk(script, key, args, on_store_full).await;
        }
        let result = self.send_script(script, &[key], args).await;
        script_reply(script, result, on_store_full)
    }

    async fn send_script(
        &self,
        script: &LuaScript,
        keys: &[impl AsRef<str>],
        args: &Arguments,
    ) -> RedisResult<Value> {
        let result = self.inner.send(&script.by_digest(keys, args)).await;
        if result.as_ref().is_err_and(is_unknown_script) {
            return self.inner.send(&script.by_source(keys, args)).await;
        }
        result
    }

    /// Runs a script whose reply may be large.
    pub(in crate::distributed::store) async fn eval_for_large_reply(
        &self,
        script: &LuaScript,
        key: &str,
        args: &Arguments,
    ) -> Result<ReplyPart, StoreError> {
        self.eval_in_bulk(script, key, args, OnStoreFull::Retry)
            .await
    }

    async fn eval_in_bulk(
        &self,
        script: &LuaScript,
        key: &str,
        args: &Arguments,
        on_store_full: OnStoreFull,
    ) -> Result<ReplyPart, StoreError> {
        let by_digest = || script.by_digest(&[key], args);
        let mut result = self.inner.send_in_bulk(by_digest).await;
        if result.as_ref().is_err_and(is_unknown_script) {
            let by_source = || script.by_source(&[key], args);
            result = self.inner.send_in_bulk(by_source).await;
        }
        script_reply(script, result, on_store_full)
    }

    /// Runs a script once for each of `calls`, in one round trip to each server. The keys of one call are in one partition.
    pub(in crate::distributed::store) async fn eval_each<K: AsRef<[String]>>(
        &self,
        script: &LuaScript,
        calls: &[(K, Arguments)],
    ) -> Result<Vec<ReplyPart>, StoreError> {
        let results = self.try_eval_each(script, calls).await?;
        let replies = results.into_iter();
        replies
            .map(|result| result.map_err(into_retryable_error))
            .collect()
    }

    /// Like [`eval_each`](Self::eval_each), with a result for each call. Returns one error if the connection fails. The keys of one
    /// call may be in several partitions if [`joins_partitions`](Self::joins_partitions) returns `true`.
    pub(in crate::distributed::store) async fn try_eval_each<K: AsRef<[String]>>(
        &self,
        script: &LuaScript,
        calls: &[(K, Arguments)],
    ) -> Result<Vec<RedisResult<ReplyPart>>, StoreError> {
        let by_digest = |(keys, args): &(K, Arguments)| script.by_digest(keys.as_ref(), args);
        let commands = calls.iter().map(by_digest);
        let results = self.inner.send_all(commands.collect()).await;
        let mut replies = Vec::with_capacity(calls.len());
        for (result, (keys, args)) in results
            .map_err(into_retryable_error)?
            .into_iter()
            .zip(calls)
        {
            let result = match result {
                Err(error) if is_unknown_script(&error) => {
                    self.send_script(script, keys.as_ref(), args).await
                }
                result => result,
            };
            replies.push(result.map(|value| ReplyPart::new(script.name, value)));
        }
        Ok(replies)
    }
}

fn script_reply(
    script: &LuaScript,
    result: RedisResult<Value>,
    on_store_full: OnStoreFull,
) -> Result<ReplyPart, StoreError> {
    match result {
        Ok(value) => Ok(ReplyPart::new(script.name, value)),
        Err(error) => Err(Rejection::from(error).into_store_error(on_store_full)),
    }
}

/// Whether the server refused a command because its keys are in several hash slots.
pub(in crate::distributed::store) fn is_cross_slot(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
