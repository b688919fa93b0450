// SPDX-License-Identifier: LGPL-3.0-or-later

//! Between the library's addresses and those of the standard library.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use windows_redirector_sys::redirector_address;

/// An IPv4 address in IPv6's clothes, as a listener for both families has it, becomes one of IPv4.
pub(crate) fn to_c(address: SocketAddr) -> redirector_address {
    let mut out = redirector_address { port: address.port().into(), ..Default::default() };
    let ip = match address.ip() {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4),
        four => four,
    };
    match ip {
        IpAddr::V4(four) => {
            out.family = 4;
            out.bytes[..4].copy_from_slice(&four.octets());
        }
        IpAddr::V6(six) => {
            out.family = 6;
            out.bytes = six.octets();
            if let SocketAddr::V6(whole) = address {
                out.scope = whole.scope_id();
            }
        }
    }
    out
}

pub(crate) fn from_c(address: &redirector_address) -> SocketAddr {
    let port = address.port as u16; // the library has none above 65535
    if address.family == 4 {
        let [a, b, c, d, ..] = address.bytes;
        return (Ipv4Addr::new(a, b, c, d), port).into();
    }
    SocketAddrV6::new(Ipv6Addr::from(address.bytes), port, 0, address.scope).into()
}
