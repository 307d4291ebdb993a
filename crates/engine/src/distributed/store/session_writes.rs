//! Writes whole sessions and their settings for clients, and reads the settings.

use forebay_shared::{
    ids::{SessionId, TenantId},
    session::SessionInfo,
    session_settings::StoredSettings,
    store::{SessionPut, SessionPutResult, SettingsSwap, SettingsSwapResult, StoreError},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::Arguments, keys, redis_error::UnexpectedReply, redis_store::RedisStore,
    reply_part::ReplyPart, store_impl::COMMAND_BYTES_MAX, turn_numbers::TurnNumbers,
};
use crate::rejection::{OnStoreFull, broken_data};

/// The fields of a session's hash that contain its settings, in the order of [`read_settings`].
const SETTINGS: [&str; 3] = ["attributes", "model", "defaults"];

impl RedisStore {
    /// Creates or replaces a session.
    pub(super) async fn write_session(
        &self,
        put: &SessionPut,
    ) -> Result<SessionPutResult, StoreError> {
        if self.memory.is_full() {
            return Err(StoreError::Full);
        }
        let partition = keys::session_partition(&put.tenant, &put.session);
        let name = keys::session_name(&put.tenant, &put.session);
        let key = self.keys.session(partition, &name);
        let now = self.clock.now();
        let expires_at = now.plus_ms(put.ttl_ms);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push(name)
            .push_time(now)
            .push_time(expires_at)
            .push_text(put.id.simple())
            .push(if put.only_create { "1" } else { "" });
        push_settings(&mut args, &put.settings);
        for turn in &put.turns {
            args.push(turn);
        }
        if args.bytes() > COMMAND_BYTES_MAX {
            return Err(StoreError::TooLarge);
        }
        let script = &self.scripts.put_session;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Refuse);
        let (code, info) = code_and_info(reply.await?)?;
        Ok(match (code, info) {
            (1, Some(info)) => SessionPutResult::Created(info),
            (2, Some(info)) => SessionPutResult::Replaced(info),
            (3, None) => SessionPutResult::HasLiveJobs,
            (4, None) => SessionPutResult::Exists,
            _ => return Err(broken_data(UnexpectedReply("put_session"))),
        })
    }

    /// Replaces the settings of a session, if they are as expected.
    pub(super) async fn swap_settings(
        &self,
        swap: &SettingsSwap,
    ) -> Result<SettingsSwapResult, StoreError> {
        if self.memory.is_full() {
            return Err(StoreError::Full);
        }
        let partition = keys::session_partition(&swap.tenant, &swap.session);
        let name = keys::session_name(&swap.tenant, &swap.session);
        let key = self.keys.session(partition, &name);
        let now = self.clock.now();
        let expires_at = now.plus_ms(swap.ttl_ms);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push(name)
            .push_time(now)
            .push_time(expires_at);
        push_settings(&mut args, &swap.expected);
        push_settings(&mut args, &swap.next);
        let script = &self.scripts.swap_settings;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Refuse);
        let (code, info) = code_and_info(reply.await?)?;
        Ok(match (code, info) {
            (1, Some(info)) => SettingsSwapResult::Done(info),
            (2, None) => SettingsSwapResult::Changed,
            (3, None) => SettingsSwapResult::NotFound,
            _ => return Err(broken_data(UnexpectedReply("swap_settings"))),
        })
    }

    /// Reads the default model of a session.
    pub(super) async fn find_model(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<String>, StoreError> {
        let partition = keys::session_partition(tenant, session);
        let name = keys::session_name(tenant, session);
        let mut get = cmd("HGET");
        get.arg(self.keys.session(partition, &name)).arg("model");
        let model = self.connections.run(&get, OnStoreFull::Retry).await?;
        let model = ReplyPart::new("HGET of a model", model).non_nil();
        let Some(model) = model.map(ReplyPart::text).transpose()? else {
            return Ok(None);
        };
        let has_expired = self.has_expired(partition, &name).await?;
        Ok((!has_expired).then_some(model))
    }

    /// Whether a session has expired by the store's clock. Redis may not have deleted it yet.
    async fn has_expired(&self, partition: u8, name: &str) -> Result<bool, StoreError> {
        let mut expiry = cmd("ZSCORE");
        expiry
            .arg(self.keys.sessions_by_expiry(partition))
            .arg(name);
        let expiry = self.connections.run(&expiry, OnStoreFull::Retry).await?;
        let expiry = ReplyPart::new("ZSCORE of a session", expiry).non_nil();
        let expires_at = expiry.map(ReplyPart::u64_or_zero).transpose()?;
        Ok(expires_at.is_some_and(|at| TimeMs(at) <= self.clock.now()))
    }

    /// Reads the settings of a session, if it exists.
    pub(super) async fn find_settings(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError> {
        let partition = keys::session_partition(tenant, session);
        let name = keys::session_name(tenant, session);
        let mut get = cmd("HMGET");
        get.arg(self.keys.session(partition, &name))
            .arg("created_at")
            .arg(&SETTINGS);
        if self.has_expired(partition, &name).await? {
            return Ok(None);
        }
        let fields = self.connections.run_for_large_reply(&get).await?;
        let [created_at, attributes, model, defaults] =
            ReplyPart::new("HMGET of settings", fields).parts()?;
        match created_at.non_nil() {
            Some(_) => read_settings([attributes, model, defaults]).map(Some),
            None => Ok(None),
        }
    }
}

/// Reads the reply of a script that writes a session: a code and, if it has written, the state of the session.
fn code_and_info(reply: ReplyPart) -> Result<(i64, Option<SessionInfo>), StoreError> {
    let mut parts = reply.list()?;
    let code = parts.next().map_or(Ok(0), ReplyPart::int)?;
    let state: Vec<ReplyPart> = parts.collect();
    if state.is_empty() {
        return Ok((code, None));
    }
    let [
        created_at,
        updated_at,
        position,
        gaps,
        turn_count,
        turns_bytes,
        expires_at,
        live_jobs,
    ] = <[ReplyPart; 8]>::try_from(state)
        .map_err(|_| broken_data(UnexpectedReply("a script that writes a session")))?;
    let numbers = TurnNumbers::read(position, gaps)?;
    let (turn_count, live_jobs) = (turn_count.u64_or_zero()?, live_jobs.u64_or_zero()?);
    let expires_at = TimeMs(expires_at.u64_or_zero()?);
    let info = SessionInfo {
        turn_count,
        first_turn: numbers.at(0),
        next_turn: numbers.after(turn_count),
        turns_bytes: turns_bytes.u64_or_zero()?,
        turns: None,
        settings: None,
        created_at: TimeMs(created_at.u64_or_zero()?),
        updated_at: TimeMs(updated_at.u64_or_zero()?),
        expires_at: (live_jobs == 0).then_some(expires_at),
        live_jobs: usize::try_from(live_jobs).unwrap_or(usize::MAX),
    };
    Ok((code, Some(info)))
}

/// Appends the settings as three arguments. The argument of a part that is not set is empty.
pub(super) fn push_settings(args: &mut Arguments, settings: &StoredSettings) {
    for part in [&settings.attributes, &settings.model, &settings.defaults] {
        args.push(part.as_deref().unwrap_or_default());
    }
}

/// Reads the fields of [`SETTINGS`].
pub(super) fn read_settings(fields: [ReplyPart; 3]) -> Result<StoredSettings, StoreError> {
    let [attributes, model, defaults] = fields.map(|field| {
        let text = field.non_nil().map(ReplyPart::text);
        text.transpose()
    });
    Ok(StoredSettings {
        attributes: attributes?,
        model: model?,
        defaults: defaults?,
    })
}
