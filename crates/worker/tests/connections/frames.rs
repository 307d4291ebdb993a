//! The server's end of an HTTP/2 connection. The test sends each frame itself (RFC 9113, section 4.1), because no library
//! would send these frames.

use scripted_provider::http_server::Reason;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
/// The id of the first stream that a client opens.
const FIRST_STREAM: u32 = 1;

/// One connection.
pub(crate) struct Frames(TcpStream);

impl Frames {
    /// Reads the client's connection preface.
    pub(crate) async fn accept(mut stream: TcpStream) -> Self {
        let mut preface = [0; PREFACE_BYTES];
        stream
            .read_exact(&mut preface)
            .await
            .expect("the preface is complete");
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        Self(stream)
    }

    /// Sends empty settings, and reads the first request to its end.
    pub(crate) async fn read_request(&mut self) {
        self.send(SETTINGS, &[]).await;
        loop {
            let mut header = [0; 9];
            self.0
                .read_exact(&mut header)
                .await
                .expect("the frame is complete");
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let (kind, flags) = (header[3], header[4]);
            let mut payload = vec![0; length as usize];
            self.0
                .read_exact(&mut payload)
                .await
                .expect("the frame is complete");
            if kind == DATA && flags & END_STREAM != 0 {
                return;
            }
        }
    }

    /// Announces the end of the connection with a GOAWAY. The frame also shows whether the server has begun to process the first
    /// request.
    pub(crate) async fn go_away(&mut self, has_begun: bool, reason: Reason) {
        let last = if has_begun { FIRST_STREAM } else { 0 };
        let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
        self.send(GOAWAY, &payload).await;
    }

    /// Sends a GOAWAY that shows that no request was begun, then closes the connection. `sends_settings` decides whether empty
    /// settings are sent first.
    pub(crate) async fn go_away_at_once(mut self, sends_settings: bool) {
        let mut frames = Vec::new();
        if sends_settings {
            frames.extend(frame(SETTINGS, &[]));
        }
        frames.extend(frame(GOAWAY, &[0; 8]));
        self.0.write_all(&frames).await.expect("the bytes are sent");
        self.0.shutdown().await.expect("the connection closes");
        // Unread bytes would turn the close into a reset.
        let _ = self.0.read_to_end(&mut Vec::new()).await;
    }

    async fn send(&mut self, kind: u8, payload: &[u8]) {
        let frame = frame(kind, payload);
        self.0.write_all(&frame).await.expect("the bytes are sent");
    }
}

/// A frame on stream 0 with at most 255 bytes of payload.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("the frame is short");
    let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}
