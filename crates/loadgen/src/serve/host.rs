//! Checks the `Host` header of a request for the live page.
//!
//! Another web site can make its own name resolve to this machine (DNS rebinding), and could then read the live page as if it
//! were its own. The browser still sends that name as `Host`, so requests are answered only for names that no site can own.

use hyper::{Request, header::HOST, http::uri::Authority};
use std::net::IpAddr;

/// Returns whether the host of a request is an IP address or `localhost`.
pub(super) fn is_own<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok()?.parse().ok());
    let in_target = request.uri().authority();
    named.is_some_and(|host| is_own_name(&host))
        && hosts.next().is_none()
        && in_target.is_none_or(is_own_name)
}

fn is_own_name(authority: &Authority) -> bool {
    // Browsers never send a user name in `Host`.
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // `.localhost` is reserved for the machine itself (RFC 6761, section 6.3).
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own_request(target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        is_own(&request.body(()).unwrap())
    }

    #[test]
    fn addresses_and_localhost_are_answered() {
        for host in [
            "127.0.0.1:5665",
            "localhost",
            "LocalHost:80",
            "localhost.",
            "a.localhost:1",
            "[::1]:5665",
            "192.168.1.7",
            "10.0.0.1:5665",
        ] {
            assert!(is_own_request("/", &[host]), "{host}");
        }
        assert!(is_own_request("http://127.0.0.1:5665/", &["127.0.0.1:5665"]));
    }

    #[test]
    fn names_that_a_site_can_own_are_not_answered() {
        for host in [
            "evil.example",
            "evil.example:5665",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "",
            "a b",
        ] {
            assert!(!is_own_request("/", &[host]), "{host}");
        }
        assert!(!is_own_request("/", &[]));
        assert!(!is_own_request("/", &["localhost", "evil.example"]));
        assert!(!is_own_request("http://evil.example/", &["localhost"]));
    }
}
