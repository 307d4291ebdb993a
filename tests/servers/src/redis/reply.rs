//! The replies of Redis: RESP, version 2.

use std::fmt;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The most bytes of a string in a reply.
const STRING_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// The most items of an array in a reply.
const ITEMS_MAX: usize = 1_000_000;

/// One reply. `Display` has the format of `redis-cli --raw`: plain strings, and a line for each item of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisReply {
    /// No value.
    Nil,
    /// A number.
    Integer(i64),
    /// A string, or a status such as `OK`.
    Text(Vec<u8>),
    /// A list of replies.
    Array(Vec<RedisReply>),
    /// An error inside an array. If the whole reply is an error, the function that sent the command returns that error.
    Error(String),
}

impl RedisReply {
    /// Reads one reply.
    pub(super) async fn read(
        from: &mut (impl AsyncBufRead + Unpin + Send),
    ) -> anyhow::Result<Self> {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line).await?;
        let line = line.strip_suffix(b"\r\n").context("the connection ended")?;
        let (kind, text) = line.split_first().context("the reply is empty")?;
        let text = std::str::from_utf8(text).context("the reply is not text")?;
        Ok(match kind {
            b'+' => Self::Text(text.into()),
            b'-' => Self::Error(text.to_owned()),
            b':' => Self::Integer(text.parse()?),
            b'$' => match length(text, STRING_BYTES_MAX)? {
                None => Self::Nil,
                Some(bytes) => {
                    let mut string = vec![0; bytes + 2];
                    from.read_exact(&mut string).await?;
                    string.truncate(bytes);
                    Self::Text(string)
                }
            },
            b'*' => match length(text, ITEMS_MAX)? {
                None => Self::Nil,
                Some(count) => {
                    let mut items = Vec::new();
                    for _ in 0..count {
                        items.push(Box::pin(Self::read(from)).await?);
                    }
                    Self::Array(items)
                }
            },
            other => bail!("the reply is of the unknown kind {:?}", char::from(*other)),
        })
    }
}

/// A length in RESP; -1 means no value.
fn length(text: &str, max: usize) -> anyhow::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    let length: usize = text.parse()?;
    if length > max {
        bail!("the reply has the length {length}, more than {max}");
    }
    Ok(Some(length))
}

impl fmt::Display for RedisReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Error(message) => f.write_str(message),
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    item.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> anyhow::Result<RedisReply> {
        RedisReply::read(&mut bytes).await
    }

    #[tokio::test]
    async fn every_kind_is_parsed_and_displayed() -> anyhow::Result<()> {
        let reply = read(b"*5\r\n+OK\r\n:-7\r\n$4\r\na\r\nb\r\n$-1\r\n-ERR no\r\n").await?;
        let RedisReply::Array(items) = &reply else {
            panic!("{reply:?}")
        };
        assert_eq!(items[2], RedisReply::Text(b"a\r\nb".to_vec()));
        assert_eq!(items[3], RedisReply::Nil);
        assert_eq!(reply.to_string(), "OK\n-7\na\r\nb\n\nERR no");
        Ok(())
    }

    #[tokio::test]
    async fn an_incomplete_or_malformed_reply_is_an_error() {
        for bytes in [
            &b""[..],
            b"+OK",
            b"$10\r\nabc",
            b"$99999999999\r\n",
            b"?\r\n",
        ] {
            assert!(
                read(bytes).await.is_err(),
                "{bytes:?} were accepted as a reply"
            );
        }
    }
}
