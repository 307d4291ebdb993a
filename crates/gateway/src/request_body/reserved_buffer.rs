//! The bytes of a body that arrives, and the memory that is reserved for them.
//!
//! A body without bytes reserves nothing. Up to 64 KiB, it reserves about what has arrived, from the share
//! `small_bodies`. Then it makes one reservation for the whole body, from the share `bodies`. So a client that sends
//! little reserves little, and a small body never waits for large ones.

use std::time::Duration;

use bytes::Bytes;
use forebay_runtime::{byte_budget::ReservedBytes, memory::MemoryShares};
use tokio::time::Instant;

/// A body of at most this many bytes is small. Small bodies have a share of their own, so that they never wait for large ones.
pub(super) const SMALL_BODY_BYTES: usize = 64 * 1_024;
/// How long a body may wait for the memory of its bytes, and again for the memory to parse it.
pub(super) const MEMORY_WAIT: Duration = Duration::from_secs(10);
/// The smallest buffer. Larger ones double up to [`SMALL_BODY_BYTES`].
const FIRST_BYTES: usize = 1_024;

/// A buffer whose capacity is reserved.
pub(super) struct ReservedBuffer<'a> {
    memory: &'a MemoryShares,
    /// The most bytes of this body.
    bytes_max: usize,
    bytes: Vec<u8>,
    reserved: Option<ReservedBytes>,
    waited: Duration,
}

impl<'a> ReservedBuffer<'a> {
    pub(super) fn new(memory: &'a MemoryShares, bytes_max: usize) -> Self {
        Self {
            memory,
            bytes_max,
            bytes: Vec::new(),
            reserved: None,
            waited: Duration::ZERO,
        }
    }

    /// The bytes that have arrived.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How long the body has waited for memory.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// Appends bytes. The caller must not append more than `bytes_max` in all. Returns false if there is no memory for them.
    pub(super) async fn append(&mut self, data: &[u8]) -> bool {
        let bytes = self.bytes.len() + data.len();
        if bytes > self.bytes.capacity() && !self.grow(bytes).await {
            return false;
        }
        self.bytes.extend_from_slice(data);
        true
    }

    /// The bytes, and their reservation.
    pub(super) fn into_parts(mut self) -> (Bytes, Option<ReservedBytes>) {
        self.bytes.shrink_to_fit();
        if let Some(reserved) = &mut self.reserved {
            reserved.shrink(self.bytes.len() as u64);
        }
        (Bytes::from(self.bytes), self.reserved)
    }

    /// Makes the buffer large enough for this many bytes. Returns false if there is no memory for them.
    async fn grow(&mut self, bytes: usize) -> bool {
        let (capacity, is_reserved) = if bytes <= SMALL_BODY_BYTES {
            let capacity = bytes.next_power_of_two().max(FIRST_BYTES);
            let capacity = capacity.min(self.bytes_max);
            (capacity, self.reserve_small(capacity).await)
        } else {
            // The whole body is reserved at once. If bodies extended such reservations, they could wait for each other for ever.
            (self.bytes_max, self.reserve_large().await)
        };
        if is_reserved {
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        is_reserved
    }

    /// Reserves bytes from the share `small_bodies`.
    ///
    /// A body that holds bytes keeps them while it waits for more. So such bodies can wait for each other, but only until
    /// the first of them has waited for [`MEMORY_WAIT`].
    async fn reserve_small(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if let Some(reserved) = &mut self.reserved
            && reserved.try_extend(bytes)
        {
            return true;
        }
        let start = Instant::now();
        let wait_max = MEMORY_WAIT.saturating_sub(self.waited);
        let reserved = self.memory.small_bodies.reserve(bytes, wait_max).await;
        self.waited += start.elapsed();
        self.replace_reservation(reserved)
    }

    /// Reserves the whole body from the share `bodies`, and gives back what the body holds of `small_bodies`.
    async fn reserve_large(&mut self) -> bool {
        let (small, large) = (&self.memory.small_bodies, &self.memory.bodies);
        let bytes = self.bytes_max as u64;
        let start = Instant::now();
        // A body that holds memory of `small_bodies` may wait here only if half of that share is free. So all bodies that wait here hold
        // at most half of it, and the other half is left for small bodies.
        let may_wait = self.reserved.is_none() || small.available() >= small.total() / 2;
        let reserved = if may_wait {
            let wait_max = MEMORY_WAIT.saturating_sub(self.waited);
            large.reserve(bytes, wait_max).await
        } else {
            large.try_reserve(bytes)
        };
        self.waited += start.elapsed();
        self.replace_reservation(reserved)
    }

    /// Gives back the earlier reservation if there is a new one.
    fn replace_reservation(&mut self, reserved: Option<ReservedBytes>) -> bool {
        let is_reserved = reserved.is_some();
        if is_reserved {
            self.reserved = reserved;
        }
        is_reserved
    }
}
