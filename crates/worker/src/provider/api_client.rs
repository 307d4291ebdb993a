//! The HTTP client of one provider: sends its key and headers with each request, and removes them from
//! error messages.

use std::time::Duration;

use bytes::Bytes;
use forebay_shared::secret::Secret;
use http::{
    Method,
    header::{HeaderMap, HeaderName},
};
use url::Url;

use super::{
    Call, Failure, SettingsError,
    http::{Endpoint, HttpSettings, JsonClient, OutgoingRequest, Received},
    settings::header_value,
    status,
};

/// A provider's key and the header that carries it.
pub(super) struct KeyHeader {
    /// The name of the header.
    pub(super) name: HeaderName,
    /// What precedes the key in the header's value, such as `Bearer `.
    pub(super) prefix: &'static str,
    /// The key.
    pub(super) key: Secret,
}

/// The HTTP client of one provider.
pub(super) struct ApiClient {
    client: JsonClient,
    /// The key and the values of the headers.
    secrets: Vec<Secret>,
}

impl ApiClient {
    /// Builds a client with its own connections for the provider `name`.
    ///
    /// # Errors
    /// [`SettingsError`] when the key or a header cannot be sent, or when TLS or the proxy cannot be set up.
    pub(super) fn new(
        name: &str,
        base_url: &Endpoint,
        key: Option<KeyHeader>,
        headers: Vec<(HeaderName, Secret)>,
        http: &HttpSettings,
    ) -> Result<Self, SettingsError> {
        let mut sent_headers = HeaderMap::new();
        let mut secrets = Vec::new();
        if let Some(KeyHeader {
            name: header,
            prefix,
            key,
        }) = key
        {
            let value = Secret::new(&format!("{prefix}{}", key.expose()));
            sent_headers.insert(header, header_value(name, "key", &value)?);
            secrets.push(key);
        }
        for (header, value) in headers {
            let sent_value = header_value(name, header.as_str(), &value)?;
            sent_headers.insert(header, sent_value);
            secrets.push(value);
        }
        let client = JsonClient::new(http, base_url, sent_headers)
            .map_err(|source| SettingsError::Client(name.to_owned(), source))?;
        Ok(Self { client, secrets })
    }

    /// Sends `body` to `url` with POST for a call, and reads the answer with `read`.
    ///
    /// # Errors
    /// [`Failure`] when no complete answer arrives within the call's timeout, or when `read` returns a failure.
    pub(super) async fn post<T>(
        &self,
        url: &Url,
        body: Vec<u8>,
        call: &Call<'_>,
        read: impl Fn(&Received) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let request = OutgoingRequest {
            method: Method::POST,
            url,
            body: body.into(),
            trace: call.trace,
        };
        self.request(request, call.timeout, read).await
    }

    /// Sends a GET request to `url`, and reads the answer with `read`.
    ///
    /// # Errors
    /// As for [`post`](Self::post).
    pub(super) async fn get<T>(
        &self,
        url: &Url,
        timeout: Duration,
        read: impl Fn(&Received) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let request = OutgoingRequest {
            method: Method::GET,
            url,
            body: Bytes::new(),
            trace: None,
        };
        self.request(request, timeout, read).await
    }

    async fn request<T>(
        &self,
        request: OutgoingRequest<'_>,
        timeout: Duration,
        read: impl Fn(&Received) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let received = self.client.request(&request, timeout).await?;
        let read = |received: &Received| match &received.location {
            Some(location) => Err(status::redirected(received.status, location)),
            None => read(received),
        };
        let failure = match read(&received) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure
                .without(&self.secrets)
                .as_answer()
                .with_limits(received.limits.clone()),
        };
        // `without` finds only complete secrets, and a shortened text may hold a part of a secret. So the secrets are also
        // removed from the answer, and the answer is read again. The failure takes the message and the detail of this second
        // reading, but keeps the code of the first one. A secret header value may be an ordinary word. Without that word, the
        // second reading may find another code.
        let redacted = self.redacted(received);
        Err(match read(&redacted) {
            Ok(_) => failure,
            Err(second) => failure.with_texts_of(second.without(&self.secrets)),
        })
    }

    fn redacted(&self, mut received: Received) -> Received {
        let redact = |text: String| {
            self.secrets
                .iter()
                .fold(text, |text, secret| secret.redact(&text))
        };
        received.location = received.location.map(redact);
        received.body = redact(String::from_utf8_lossy(&received.body).into_owned()).into_bytes();
        received
    }
}
