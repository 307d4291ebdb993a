//! The idempotency key of one submit in the store: finds, sets, keeps and releases it.

use forebay_shared::{
    document::{DocumentVersion, UnknownFields},
    ids::JobId,
    store::{IdempotencyEntry, SetKeyResult, StoreError},
    time::TimeMs,
};
use sha2::{Digest, Sha256};

use crate::{
    auth::Caller,
    problem::Problem,
    problem_code::ProblemCode,
    request_body::BufferedBody,
    state::{ApiState, ReadJob},
    store_call::{store_problem, with_timeout, within_timeout},
};

/// How long a key is kept, in milliseconds: 24 hours.
pub(crate) const KEY_TTL_MS: u64 = 24 * 3_600_000;
/// How long the key of a refused job is kept, in milliseconds.
const REFUSED_KEY_TTL_MS: u64 = 60_000;
/// How often one call tries to replace the entry of a key. A replacement fails if another request has replaced the entry before.
const SWAPS_MAX: u32 = 5;

/// The idempotency key of one submit.
pub(crate) struct SubmitKey<'a> {
    state: &'a ApiState,
    caller: &'a Caller,
    key: String,
    /// The entry of the key if this submit sets it.
    entry: IdempotencyEntry,
}

/// Which job a key belongs to.
pub(crate) enum KeyClaim {
    /// An earlier request has admitted this job.
    Admitted(Box<ReadJob>),
    /// The job of the entry is not admitted, and only this request may release the key.
    Own(IdempotencyEntry),
    /// An earlier request has set the key. It has not admitted the job yet, or was interrupted before it did.
    Shared(IdempotencyEntry),
}

impl<'a> SubmitKey<'a> {
    /// The key of a submit with this body. The submit's job would have the id `job`.
    pub(crate) fn new(
        state: &'a ApiState,
        caller: &'a Caller,
        key: String,
        body: &BufferedBody,
        job: JobId,
        now: TimeMs,
    ) -> Self {
        let entry = IdempotencyEntry {
            job,
            body_sha256: body.compute(|bytes| sha256_hex(bytes)),
            created_at: now,
            v: DocumentVersion::FIRST,
            refused: false,
            revision: 0,
            unknown: UnknownFields::NONE,
        };
        Self {
            state,
            caller,
            key,
            entry,
        }
    }

    /// Who sent the submit.
    pub(crate) const fn caller(&self) -> &Caller {
        self.caller
    }

    /// The job that an earlier request with this key has admitted. Writes nothing.
    pub(crate) async fn admitted_job(&self) -> Result<Option<Box<ReadJob>>, Problem> {
        let read = self
            .state
            .member
            .store
            .idempotency_key(self.caller.tenant(), &self.key);
        match with_timeout(read).await? {
            None => Ok(None),
            Some(found) => {
                self.check_body(&found)?;
                let job = self.state.read_job(self.caller.tenant(), found.job).await?;
                if job.is_none() {
                    self.check_not_deleted(&found).await?;
                }
                Ok(job.map(Box::new))
            }
        }
    }

    /// Sets the key, unless an earlier request has set it.
    pub(crate) async fn claim(&self) -> Result<KeyClaim, Problem> {
        for _ in 0..SWAPS_MAX {
            let (store, tenant) = (&self.state.member.store, self.caller.tenant());
            let set = store.set_idempotency_key(tenant, &self.key, &self.entry, KEY_TTL_MS);
            let found = match within_timeout(set).await {
                Ok(SetKeyResult::Set) => return Ok(KeyClaim::Own(self.entry.clone())),
                Ok(SetKeyResult::AlreadySet(found)) => found,
                Err(StoreError::Full) => return self.claim_in_full_store().await,
                Err(error) => return Err(store_problem(&error)),
            };
            self.check_body(&found)?;
            if let Some(record) = self.state.read_job(self.caller.tenant(), found.job).await? {
                if found.refused {
                    self.keep(found).await;
                }
                return Ok(KeyClaim::Admitted(Box::new(record)));
            }
            self.check_not_deleted(&found).await?;
            if !found.refused {
                return Ok(KeyClaim::Shared(found));
            }
            // The request that set the key has released it. Of the other requests, the first that replaces the entry gets the key.
            let next = found.revised(false);
            if with_timeout(self.swap(&found, &next, KEY_TTL_MS)).await? {
                return Ok(KeyClaim::Own(next));
            }
        }
        let detail = "too many requests have this Idempotency-Key at the same time";
        Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
    }

    /// The claim in a full store, which accepts no key and no job, but still shows the jobs of earlier requests.
    async fn claim_in_full_store(&self) -> Result<KeyClaim, Problem> {
        self.state.admission.set_store_full(true);
        let admitted = self.admitted_job().await?;
        admitted
            .map(KeyClaim::Admitted)
            .ok_or_else(|| store_problem(&StoreError::Full))
    }

    /// Keeps the key of an admitted job for its full time. Called if another request may release the key.
    pub(crate) async fn keep(&self, entry: IdempotencyEntry) {
        let mut expected = entry;
        for _ in 0..SWAPS_MAX {
            let next = expected.revised(false);
            match within_timeout(self.swap(&expected, &next, KEY_TTL_MS)).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return log_failure(&error),
            }
            let (store, tenant) = (&self.state.member.store, self.caller.tenant());
            match within_timeout(store.idempotency_key(tenant, &self.key)).await {
                Ok(Some(found)) if found.job == expected.job => expected = found,
                Ok(_) => return,
                Err(error) => return log_failure(&error),
            }
        }
    }

    /// Keeps the key of a refused job for a short time only. `entry` is that of [`KeyClaim::Own`].
    pub(crate) async fn release(&self, entry: IdempotencyEntry) {
        let next = entry.revised(true);
        match within_timeout(self.swap(&entry, &next, REFUSED_KEY_TTL_MS)).await {
            // A commit whose confirmation was lost may have admitted the job before the refusal.
            Ok(true) => match self.state.read_job(self.caller.tenant(), entry.job).await {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => self.keep(next).await,
            },
            // Another request has admitted the job and keeps the key.
            Ok(false) => {}
            Err(error) => log_failure(&error),
        }
    }

    async fn swap(
        &self,
        expected: &IdempotencyEntry,
        next: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let (store, tenant) = (&self.state.member.store, self.caller.tenant());
        store
            .swap_idempotency_key(tenant, &self.key, expected, next, ttl_ms)
            .await
    }

    /// Refuses a submit whose job was deleted. The store keeps the id of the job until the key lapses, so a repeat does not create the
    /// job again.
    async fn check_not_deleted(&self, found: &IdempotencyEntry) -> Result<(), Problem> {
        if self.state.is_job_deleted(found.job).await? {
            return Err(Problem::job_deleted());
        }
        Ok(())
    }

    fn check_body(&self, found: &IdempotencyEntry) -> Result<(), Problem> {
        if found.body_sha256 == self.entry.body_sha256 {
            return Ok(());
        }
        let detail = "an earlier request with this Idempotency-Key had another body";
        Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail))
    }
}

/// The response does not depend on this call, so its failure is only logged.
fn log_failure(error: &StoreError) {
    tracing::debug!(%error, "the entry of an idempotency key was not replaced");
}

fn sha256_hex(body: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(body);
    let mut hex = String::with_capacity(digest.len() * 2);
    for byte in digest {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::sha256_hex;

    #[test]
    fn the_hash_is_sha256_in_hex() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
