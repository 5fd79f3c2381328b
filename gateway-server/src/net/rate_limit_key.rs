//! The key by which connections and failed attempts of one peer are counted together.

use std::net::{IpAddr, Ipv6Addr};

/// Names one peer for the purpose of limits: an IPv4 address, or the upper 64 bits of an IPv6 address, as providers give a
/// customer a whole network of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateLimitKey(u128);

impl RateLimitKey {
    /// The key of the unspecified address.
    pub const UNSPECIFIED: Self = Self(0);

    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) if address == Ipv6Addr::LOCALHOST => Self(address.to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_of_an_ipv6_address_that_one_customer_has_is_one() {
        let key = |address: &str| RateLimitKey::of(address.parse().unwrap());
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("::1"), key("::"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
