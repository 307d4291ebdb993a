//! Keeps web pages of other sites from using the API through a visitor's browser.
//!
//! A browser adds headers to the requests of web pages. A request is refused if its `Origin` or `Sec-Fetch-Site` names
//! another site, or if its `Host` is not a name of this gateway. Without the last rule, a web page could let the name of
//! its own site resolve to this machine (DNS rebinding). Programs send none of these headers except `Host`.
//!
//! A gateway that other machines can reach does not know all of its names, unless they are configured. There the last rule
//! applies only to requests whose `Origin` is their own `Host`. So it does not stop a page that reads over plain HTTP after DNS
//! rebinding: a browser then sends no `Origin`, and no header distinguishes the request from that of a program. Only configured
//! hosts stop such a page.
//!
//! - `authority`: parses the host and port of `Host` and `Origin`.
//! - `hosts`, `origins`: which hosts and origins are allowed.
//! - `cors`: the answers to a browser about an allowed origin.
//! - `guard`: applies these rules to each request.

mod authority;
mod cors;
mod guard;
mod hosts;
mod origins;

pub(crate) use guard::{WebGuard, guard};
pub use hosts::AllowedHosts;
pub use origins::AllowedOrigins;
