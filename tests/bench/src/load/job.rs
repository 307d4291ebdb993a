//! The jobs of a load: their bodies and their session ids.

use std::net::SocketAddr;

/// The order of the session ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sessions {
    /// Random ids, a new session for each job.
    Random,
    /// Ids in rising order, a new session for each job.
    Ordered,
    /// No session.
    None,
}

/// The message of a job: a short question of a chat, so that a body has about 400 bytes.
const INPUT: &str = "A customer wrote that a parcel which was announced for Monday has not arrived, and that the page \
                     of the carrier shows no change since then. Write a short and friendly answer that asks for the \
                     number of the order and offers to send the goods again.";

/// The API key of all requests. A gateway without keys ignores it.
pub(crate) const API_KEY: &str = "bench-key-0123456789-0123456789-abcdef";

/// Writes the requests that submit jobs.
#[derive(Clone, Debug)]
pub(crate) struct JobRequests {
    host: SocketAddr,
    model: String,
    sessions: Sessions,
    /// Distinguishes the ordered ids of several loads.
    load_number: u32,
}

impl JobRequests {
    pub(crate) fn new(host: SocketAddr, model: &str, sessions: Sessions) -> Self {
        Self {
            host,
            model: model.to_owned(),
            sessions,
            load_number: rand::random(),
        }
    }

    /// The bytes of the request that submits the job with this number.
    pub(crate) fn submit(&self, number: usize) -> Vec<u8> {
        // All ids have the same length, whatever their order.
        match self.sessions {
            Sessions::Random => {
                let id = format!(
                    "{:016x}{:08x}",
                    rand::random::<u64>(),
                    rand::random::<u32>()
                );
                self.submit_to(Some(&id))
            }
            Sessions::Ordered => {
                let id = format!("{:08x}{number:016}", self.load_number);
                self.submit_to(Some(&id))
            }
            Sessions::None => self.submit_to(None),
        }
    }

    /// The bytes of the request that submits a job of this session.
    pub(crate) fn submit_to(&self, session: Option<&str>) -> Vec<u8> {
        let session = session.map_or_else(String::new, |id| format!(r#""session_id":"{id}","#));
        let body = format!(
            r#"{{{session}"model":"{}","input":"{INPUT}","temperature":0.7,"max_output_tokens":256,"metadata":{{"client":"bench"}}}}"#,
            self.model
        );
        let head = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        [head, body].concat().into_bytes()
    }

    /// The bytes of the request that shows a job, after a wait of up to `wait_s` seconds for its end.
    pub(crate) fn show(&self, id: &str, wait_s: u32) -> Vec<u8> {
        let wait = match wait_s {
            0 => String::new(),
            seconds => format!("?wait_s={seconds}"),
        };
        format!(
            "GET /v1/jobs/{id}{wait} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {API_KEY}\r\n\r\n",
            self.host
        )
        .into_bytes()
    }
}

/// The text of a field of a job as the API shows it. The search is textual, because it is cheaper than parsing.
pub(crate) fn text_field<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, value) = body.split_once(&format!(r#""{name}":""#))?;
    value.split_once('"').map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_valid_body_of_about_400_bytes() {
        let requests = JobRequests::new(([127, 0, 0, 1], 80).into(), "bench", Sessions::Random);
        let request = String::from_utf8(requests.submit(7)).expect("a request is text");
        let (head, body) = request
            .split_once("\r\n\r\n")
            .expect("the request has a head");
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).expect("the body is JSON");
        assert_eq!(body["session_id"].as_str().map(str::len), Some(24));
        assert!((350..450).contains(&body.to_string().len()));
    }

    #[test]
    fn ordered_ids_rise_and_no_session_means_no_field() {
        let host = ([127, 0, 0, 1], 80).into();
        let ordered = JobRequests::new(host, "bench", Sessions::Ordered);
        assert!(ordered.submit(9) < ordered.submit(10));
        let none = JobRequests::new(host, "bench", Sessions::None);
        assert!(!String::from_utf8_lossy(&none.submit(0)).contains("session_id"));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let body = br#"{"session_id":"s","id":"j","status":"queued"}"#;
        assert_eq!(text_field(body, "id"), Some("j"));
        assert_eq!(text_field(body, "status"), Some("queued"));
        assert_eq!(text_field(body, "error"), None);
    }
}
