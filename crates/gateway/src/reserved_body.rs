//! A response body whose memory is reserved until its bytes have been written to the client. The memory of each chunk is given
//! back when the chunk is written.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use forebay_runtime::byte_budget::ReservedBytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

/// Bytes that keep their part of the reservation. The server drops them when they are written.
struct ReservedChunk {
    bytes: Vec<u8>,
    body: Arc<Mutex<ReservedBody>>,
}

/// The reservation of the chunks that are not written yet.
struct ReservedBody {
    reserved: ReservedBytes,
    bytes_left: u64,
}

impl Drop for ReservedChunk {
    fn drop(&mut self) {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.bytes_left = body.bytes_left.saturating_sub(memory_of(&self.bytes));
        let bytes_left = body.bytes_left;
        body.reserved.shrink(bytes_left);
    }
}

impl AsRef<[u8]> for ReservedChunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The chunks of a body that are not sent yet.
struct ChunkedBody {
    chunks: VecDeque<Bytes>,
}

impl HttpBody for ChunkedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.chunks.iter().map(Bytes::len).sum::<usize>();
        SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

/// A body of these chunks. Their memory stays reserved until they are written. The rest of the reservation, which was needed to
/// make them, is given back at once.
pub(crate) fn reserved_body(chunks: Vec<Vec<u8>>, reserved: Option<ReservedBytes>) -> Body {
    let Some(mut reserved) = reserved else {
        return Body::new(Full::new(Bytes::from(chunks.concat())));
    };
    let bytes_left = chunks.iter().map(memory_of).sum();
    reserved.shrink(bytes_left);
    let body = Arc::new(Mutex::new(ReservedBody {
        reserved,
        bytes_left,
    }));
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
    let chunks = chunks.map(|bytes| {
        Bytes::from_owner(ReservedChunk {
            bytes,
            body: Arc::clone(&body),
        })
    });
    Body::new(ChunkedBody {
        chunks: chunks.collect(),
    })
}

fn memory_of(chunk: &Vec<u8>) -> u64 {
    u64::try_from(chunk.capacity()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody as _;
    use forebay_runtime::byte_budget::ByteBudget;
    use http_body_util::BodyExt as _;

    use super::reserved_body;

    #[tokio::test]
    async fn each_chunk_stays_reserved_until_it_is_dropped() {
        let budget = ByteBudget::new(10_240);
        let chunks = vec![vec![b'a'; 2_048], Vec::new(), vec![b'b'; 1_024]];
        let mut body = reserved_body(chunks.clone(), budget.try_reserve(8_192));
        assert_eq!(body.size_hint().exact(), Some(3_072));
        let reserved = || budget.total() - budget.available();
        // The rest was needed to make the chunks.
        assert_eq!(reserved(), 3_072);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((&first[..], &last[..]), (&chunks[0][..], &chunks[2][..]));
        assert!(body.frame().await.is_none());
        assert_eq!(reserved(), 3_072);
        drop((body, first));
        assert_eq!(reserved(), 1_024);
        drop(last);
        assert_eq!(reserved(), 0);
    }
}
