//! Which `Host` headers a gateway accepts.

use std::net::IpAddr;

use super::authority::{Authority, host_name};

/// The hosts that requests may name in addition to the names of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    /// Whether any host is allowed.
    any: bool,
    /// Whether any IP address is allowed.
    any_ip: bool,
    /// The allowed names and IP addresses.
    names: Vec<String>,
}

impl AllowedHosts {
    /// Parses host names or IP addresses without ports, separated by commas, or `*` for any host.
    ///
    /// # Errors
    /// The element that is not a host.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut hosts = Self::default();
        for element in text.split(',').map(str::trim) {
            if element == "*" {
                hosts.any = true;
                continue;
            }
            let address = element.trim_start_matches('[').trim_end_matches(']');
            let name = match address.parse::<IpAddr>() {
                Ok(address) => Some(address.to_string()),
                Err(_) => host_name(element),
            };
            hosts.names.push(name.ok_or_else(|| {
                format!("{element:?} is not a host name or an IP address without a port, or *")
            })?);
        }
        Ok(hosts)
    }

    /// These hosts and all IP addresses. A web page can let its own host name resolve to this machine, but it cannot do so with an IP
    /// address.
    #[must_use]
    pub fn or_any_ip(self) -> Self {
        Self {
            any_ip: true,
            ..self
        }
    }

    /// Who owns this host's name. A gateway that other machines can reach has names that it does not know,
    /// unless hosts are configured.
    pub(super) fn owner(&self, host: &Authority, is_loopback_listener: bool) -> HostOwner {
        let is_allowed_ip = self.any_ip && host.ip().is_some();
        if self.any || is_allowed_ip || host.is_loopback() || self.names.contains(&host.host) {
            HostOwner::Gateway
        } else if is_loopback_listener || !self.names.is_empty() {
            HostOwner::Other
        } else {
            HostOwner::Unknown
        }
    }
}

/// The owner of a host's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostOwner {
    /// A name of this gateway.
    Gateway,
    /// Not a name of this gateway.
    Other,
    /// Not known, because the gateway does not know all of its names.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::{AllowedHosts, Authority, HostOwner};

    #[test]
    fn only_names_of_this_machine_and_configured_hosts_are_accepted_on_loopback() {
        let owner = |setting: Option<&str>, host, is_loopback_listener| {
            let hosts = setting.map(|text| AllowedHosts::parse(text).expect("the hosts are valid"));
            let host = Authority::parse(host).expect("the host is valid");
            hosts.unwrap_or_default().owner(&host, is_loopback_listener)
        };
        let accepts = |setting, host, is_loopback_listener| {
            owner(setting, host, is_loopback_listener) == HostOwner::Gateway
        };
        assert!(accepts(None, "localhost:8080", true));
        assert!(!accepts(None, "evil.example:8080", true));
        assert!(accepts(None, "localhost:8080", false));
        assert_eq!(owner(None, "any.example", false), HostOwner::Unknown);
        let setting = Some("Forebay.internal, [fe80::1],10.0.0.7");
        for is_loopback_listener in [true, false] {
            assert!(accepts(
                setting,
                "forebay.internal:80",
                is_loopback_listener
            ));
            assert!(accepts(setting, "[fe80::1]:80", is_loopback_listener));
            assert!(accepts(setting, "10.0.0.7", is_loopback_listener));
            assert!(accepts(setting, "127.0.0.1", is_loopback_listener));
            assert!(!accepts(setting, "evil.example", is_loopback_listener));
            assert!(accepts(Some("*"), "evil.example", is_loopback_listener));
        }
    }

    #[test]
    fn all_ip_addresses_can_be_accepted_beside_the_configured_hosts() {
        for setting in [None, Some("forebay.example")] {
            let hosts = setting.map(|text| AllowedHosts::parse(text).expect("the hosts are valid"));
            let hosts = hosts.unwrap_or_default();
            for is_loopback_listener in [true, false] {
                let accepts = |hosts: &AllowedHosts, host| {
                    let host = Authority::parse(host).expect("the host is valid");
                    hosts.owner(&host, is_loopback_listener) == HostOwner::Gateway
                };
                let with_ips = hosts.clone().or_any_ip();
                for host in ["10.0.0.7:9464", "[fe80::1]:9464"] {
                    assert!(!accepts(&hosts, host));
                    assert!(accepts(&with_ips, host));
                }
                assert!(!accepts(&with_ips, "evil.example"));
            }
        }
    }

    #[test]
    fn a_setting_that_is_not_a_list_of_hosts_is_refused() {
        for text in ["", "a,", "http://a", "a:80", "a/b", "a b"] {
            assert!(AllowedHosts::parse(text).is_err(), "{text}");
        }
    }
}
