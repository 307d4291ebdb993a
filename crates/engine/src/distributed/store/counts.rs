//! Adds up the counts of all partitions, which the commits to each partition keep up to date.

use std::collections::BTreeMap;

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::TenantId,
    store::{Counts, DeferredCount, StoreError, TenantClassCounts},
    time::TimeMs,
};

use super::{
    arguments::{Arguments, time_argument},
    keys::{class_of_code, partitions},
    redis_error::UnexpectedReply,
    redis_store::RedisStore,
    reply_part::ReplyPart,
};
use crate::rejection::broken_data;

/// The field of a partition's counts that holds the number of sessions with live jobs.
const LIVE_SESSIONS: &str = "#";

/// The sums over the partitions that were added so far.
#[derive(Default)]
struct Sum {
    rows: BTreeMap<(TenantId, Class), TenantClassCounts>,
    deferred: BTreeMap<(AccountKey, Class), u64>,
    behind_deferred: BTreeMap<(AccountKey, Class), u64>,
    sessions: u64,
}

impl RedisStore {
    /// Reads the counts of all partitions in one round trip to each server, and adds them up.
    pub(super) async fn sum_counts(&self) -> Result<Counts, StoreError> {
        let now = time_argument(self.clock.now());
        let calls: Vec<_> = partitions()
            .map(|partition| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(partition))
                    .push(now.as_str());
                ([self.keys.counts(partition)], args)
            })
            .collect();
        let mut sum = Sum::default();
        for reply in self
            .connections
            .eval_each(&self.scripts.counts, &calls)
            .await?
        {
            if let Some(counts) = reply.non_nil() {
                sum.add(counts)?;
            }
        }
        Ok(Counts {
            deferred: sum.deferred_counts(),
            rows: sum.rows.into_values().collect(),
            sessions: sum.sessions,
        })
    }
}

impl Sum {
    /// Adds the counts of one partition.
    fn add(&mut self, counts: ReplyPart) -> Result<(), StoreError> {
        // The script returns five parts: the number of unexpired sessions without live jobs, the counts, the oldest
        // queued jobs, the counts of deferred heads, and the counts of the jobs behind them.
        let [idle_sessions, fields, oldest, deferred, behind] = counts.parts()?;
        self.sessions += idle_sessions.u64_or_zero()?;
        let mut fields = fields.list()?;
        while let (Some(field), Some(number)) = (fields.next(), fields.next()) {
            self.add_field(&field.text()?, number.int()?)?;
        }
        let mut oldest = oldest.list()?;
        while let (Some(tenant_class), Some(admitted_at)) = (oldest.next(), oldest.next()) {
            let admitted_at = TimeMs(admitted_at.u64_or_zero()?);
            let row = self.row(&tenant_class.text()?)?;
            row.oldest_waiting = Some(
                row.oldest_waiting
                    .map_or(admitted_at, |so_far| so_far.min(admitted_at)),
            );
        }
        let mut deferred = deferred.list()?;
        while let (Some(field), Some(number)) = (deferred.next(), deferred.next()) {
            self.add_deferred_field(&field.text()?, number.int()?)?;
        }
        let mut behind = behind.list()?;
        while let (Some(name), Some(number)) = (behind.next(), behind.next()) {
            let key = account_and_class(&name.text()?)?;
            *self.behind_deferred.entry(key).or_default() += number.u64_or_zero()?;
        }
        Ok(())
    }

    /// The jobs that wait for each account.
    fn deferred_counts(&self) -> Vec<DeferredCount> {
        let counts = self.deferred.iter().map(|(key, heads)| DeferredCount {
            account: key.0.clone(),
            class: key.1,
            heads: *heads,
            jobs: heads + self.behind_deferred.get(key).copied().unwrap_or_default(),
        });
        counts.collect()
    }

    /// Adds one field of the hash of counts of deferred heads: `t|TENANT|C`, or `a|C|ACCOUNT`.
    fn add_deferred_field(&mut self, field: &str, number: i64) -> Result<(), StoreError> {
        match field.split_once('|') {
            Some(("t", tenant_class)) => self.row(tenant_class)?.live.provider_wait += number,
            Some(("a", name)) => {
                let heads = self.deferred.entry(account_and_class(name)?).or_default();
                *heads += u64::try_from(number).unwrap_or(0);
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    /// Adds one field of the hash of counts. `keys.rs` explains the letters.
    fn add_field(&mut self, field: &str, number: i64) -> Result<(), StoreError> {
        if field == LIVE_SESSIONS {
            self.sessions += u64::try_from(number).unwrap_or(0);
            return Ok(());
        }
        let (tenant_class, count) = field.rsplit_once('|').ok_or_else(unexpected)?;
        let row = self.row(tenant_class)?;
        match count {
            "r" => row.live.ready += number,
            "f" => row.live.in_flight += number,
            "b" => row.live.behind_session += number,
            "w" => row.live.retry_wait += number,
            "e" => row.ended += u64::try_from(number).unwrap_or(0),
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    /// Returns the sums of a tenant and class. `tenant_class` is a name from `keys::tenant_class`.
    fn row(&mut self, tenant_class: &str) -> Result<&mut TenantClassCounts, StoreError> {
        let (tenant, code) = tenant_class.rsplit_once('|').ok_or_else(unexpected)?;
        let class = class_of_code(code).ok_or_else(unexpected)?;
        let tenant = TenantId::parse(tenant).map_err(broken_data)?;
        let row = self.rows.entry((tenant.clone(), class));
        Ok(row.or_insert_with(|| TenantClassCounts {
            tenant,
            class,
            live: forebay_shared::lane::ClassCounts::default(),
            ended: 0,
            oldest_waiting: None,
        }))
    }
}

/// The account and class of a name from `keys::deferred_name`.
fn account_and_class(name: &str) -> Result<(AccountKey, Class), StoreError> {
    let (code, account) = name.split_once('|').ok_or_else(unexpected)?;
    let class = class_of_code(code).ok_or_else(unexpected)?;
    Ok((AccountKey::from_text(account.to_owned()), class))
}

fn unexpected() -> StoreError {
    broken_data(UnexpectedReply("counts"))
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn list(texts: &[&str]) -> Value {
        let texts = texts.iter().map(|text| Value::BulkString((*text).into()));
        Value::Array(texts.collect())
    }

    #[test]
    fn the_counts_of_partitions_are_added_up_and_the_oldest_queued_job_of_all_is_found() {
        let mut sum = Sum::default();
        for (ready, admitted_at) in [("2", "700"), ("3", "500")] {
            let partition = Value::Array(vec![
                Value::Int(4),
                list(&["default|b|r", ready, "#", "1", "default|b|e", "10"]),
                list(&["default|b", admitted_at]),
                list(&["t|default|b", "2", "a|b|acme/m|1", "2"]),
                list(&["b|acme/m|1", ready]),
            ]);
            sum.add(ReplyPart::new("counts", partition)).unwrap();
        }
        assert_eq!(sum.sessions, 10);
        let row = sum.rows.values().next().unwrap();
        assert_eq!(
            (row.class, row.live.ready, row.ended),
            (Class::Batch, 5, 20)
        );
        assert_eq!(row.oldest_waiting, Some(TimeMs(500)));
        assert_eq!(row.live.provider_wait, 4);
        let account = AccountKey::of_model("acme", "m|1");
        let expected = DeferredCount {
            account,
            class: Class::Batch,
            heads: 4,
            jobs: 9,
        };
        assert_eq!(sum.deferred_counts(), [expected]);
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        for field in ["x", "default|b|z", "default|q|r", "a b|i|r"] {
            assert!(Sum::default().add_field(field, 1).is_err(), "{field}");
        }
        for field in ["x", "x|b|acme", "a|q|acme", "a|b", "t|default|q"] {
            let added = Sum::default().add_deferred_field(field, 1);
            assert!(added.is_err(), "{field}");
        }
    }
}
