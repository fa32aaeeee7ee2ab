//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a request's connection; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The client's address as far as it can be trusted; an extension of every request. An IPv6 client
/// is its /64, as one subscriber has that whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Each trusted proxy has added the address that it saw at the end of `X-Forwarded-For`; what is
    /// before those is the client's own word. A request that came past the proxies is its peer's.
    pub(crate) fn of(
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        trusted_proxies: usize,
    ) -> Self {
        let peer = peer.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| {
            peer.ip()
        });
        let lines = headers.get_all(FORWARDED_FOR).into_iter();
        let seen: Vec<&str> = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .collect();
        let named = trusted_proxies
            .checked_sub(1)
            .and_then(|behind| seen.iter().rev().nth(behind).or(seen.first()))
            .and_then(|text| parse(text));
        Self(network(named.unwrap_or(peer)))
    }
}

/// An address, perhaps with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    address.or_else(with_port)
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let kept = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(kept))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str], trusted: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let peer = Some("192.0.2.1:4000".parse().unwrap());
        ClientAddress::of(&headers, peer, trusted).0.to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        assert_eq!(of(&["198.51.100.7"], 0), "192.0.2.1");
        assert_eq!(of(&[], 1), "192.0.2.1");
        assert_eq!(of(&["198.51.100.7"], 1), "198.51.100.7");
        assert_eq!(of(&["10.9.9.9, 198.51.100.7"], 1), "198.51.100.7");
        assert_eq!(of(&["10.9.9.9", "198.51.100.7"], 1), "198.51.100.7");
        assert_eq!(of(&["1.1.1.1, 198.51.100.7, 10.0.0.2"], 2), "198.51.100.7");
        assert_eq!(of(&["198.51.100.7"], 2), "198.51.100.7");
        assert_eq!(of(&["nonsense"], 1), "192.0.2.1");
        assert_eq!(of(&["198.51.100.7:1234"], 1), "198.51.100.7");
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(of(&["2001:db8:1:2:3:4:5:6"], 1), "2001:db8:1:2::");
        assert_eq!(of(&["::ffff:198.51.100.7"], 1), "198.51.100.7");
    }
}
