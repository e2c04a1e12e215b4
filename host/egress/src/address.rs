//! What kind of place an address is.
//!
//! The table is that of the IANA special-purpose registries (IPv4: RFC 6890 and
//! its updates; IPv6: RFC 6890, RFC 9637, RFC 9602) and what clouds put their
//! metadata on. Everything that is not known to be public is not public: of
//! IPv6, only `2000::/3` can be.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every class that is not named here is treated alike, and denied"
)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressClass {
    /// Reachable from anywhere: the only class that is allowed by itself.
    Public,
    /// `0.0.0.0/8`, `::`.
    Unspecified,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193, site-local).
    Private,
    /// A carrier's shared space (RFC 6598).
    CarrierShared,
    /// One link (RFC 3927, RFC 4291).
    LinkLocal,
    /// Where a cloud answers its own machines.
    CloudMetadata,
    /// For examples in documents.
    Documentation,
    /// For measuring devices (RFC 2544, RFC 5180).
    Benchmarking,
    /// Many machines.
    Multicast,
    /// Kept by IANA for protocols or for later.
    Reserved,
    /// Holds another address in a way that is no longer used (6to4, Teredo,
    /// IPv4-compatible, ISATAP) or only inside one network (local NAT64).
    Transition,
    /// An address of this machine's own interfaces.
    OwnInterface,
    /// Where Keyway itself listens. Nothing allows it.
    OwnListener,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::CarrierShared => "shared by a carrier",
            Self::LinkLocal => "link-local",
            Self::CloudMetadata => "cloud metadata",
            Self::Documentation => "for documentation",
            Self::Benchmarking => "for benchmarking",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Transition => "a transition mechanism",
            Self::OwnInterface => "this machine",
            Self::OwnListener => "where Keyway itself listens",
        })
    }
}

/// What kind of place `address` is. IPv4 inside IPv6 counts as the IPv4 that
/// it reaches, where it reaches one: mapped (`::ffff:0:0/96`) and through a
/// public translator (`64:ff9b::/96`).
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

/// The address that is reached by dialling `address`: the IPv4 inside it, where
/// it is only a form of one.
pub(crate) fn reached(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => held_v4(v6).map_or(address, IpAddr::V4),
    }
}

/// A block of addresses: all that share the first `bits` of `first`.
struct Block<T> {
    first: T,
    bits: u32,
    class: AddressClass,
}

const fn v4(first: [u8; 4], bits: u32, class: AddressClass) -> Block<u32> {
    Block {
        first: u32::from_be_bytes(first),
        bits,
        class,
    }
}

const fn v6(first: [u16; 8], bits: u32, class: AddressClass) -> Block<u128> {
    let [a, b, c, d, e, f, g, h] = first;
    Block {
        first: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(),
        bits,
        class,
    }
}

/// Narrow blocks before the wide ones that hold them.
const V4: [Block<u32>; 24] = [
    v4([169, 254, 169, 254], 32, AddressClass::CloudMetadata),
    v4([169, 254, 170, 2], 32, AddressClass::CloudMetadata),
    v4([100, 100, 100, 200], 32, AddressClass::CloudMetadata),
    v4([168, 63, 129, 16], 32, AddressClass::CloudMetadata),
    v4([192, 0, 0, 192], 32, AddressClass::CloudMetadata),
    v4([0, 0, 0, 0], 8, AddressClass::Unspecified),
    v4([10, 0, 0, 0], 8, AddressClass::Private),
    v4([100, 64, 0, 0], 10, AddressClass::CarrierShared),
    v4([127, 0, 0, 0], 8, AddressClass::Loopback),
    v4([169, 254, 0, 0], 16, AddressClass::LinkLocal),
    v4([172, 16, 0, 0], 12, AddressClass::Private),
    v4([192, 0, 0, 0], 24, AddressClass::Reserved),
    v4([192, 0, 2, 0], 24, AddressClass::Documentation),
    v4([192, 31, 196, 0], 24, AddressClass::Reserved),
    v4([192, 52, 193, 0], 24, AddressClass::Reserved),
    v4([192, 88, 99, 0], 24, AddressClass::Transition),
    v4([192, 168, 0, 0], 16, AddressClass::Private),
    v4([192, 175, 48, 0], 24, AddressClass::Reserved),
    v4([198, 18, 0, 0], 15, AddressClass::Benchmarking),
    v4([198, 51, 100, 0], 24, AddressClass::Documentation),
    v4([203, 0, 113, 0], 24, AddressClass::Documentation),
    v4([233, 252, 0, 0], 24, AddressClass::Documentation),
    v4([224, 0, 0, 0], 4, AddressClass::Multicast),
    v4([240, 0, 0, 0], 4, AddressClass::Reserved),
];

/// Narrow blocks before the wide ones that hold them. What no block holds is
/// public inside `2000::/3` and reserved outside it.
const V6: [Block<u128>; 21] = [
    v6(
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
        128,
        AddressClass::CloudMetadata,
    ),
    v6(
        [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
        128,
        AddressClass::CloudMetadata,
    ),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, AddressClass::Unspecified),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, AddressClass::Loopback),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, AddressClass::Transition),
    v6(
        [0x64, 0xff9b, 1, 0, 0, 0, 0, 0],
        48,
        AddressClass::Transition,
    ),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, AddressClass::Reserved),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, AddressClass::Transition),
    v6(
        [0x2001, 2, 0, 0, 0, 0, 0, 0],
        48,
        AddressClass::Benchmarking,
    ),
    v6(
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        AddressClass::Documentation,
    ),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, AddressClass::Reserved),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, AddressClass::Transition),
    v6(
        [0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0],
        48,
        AddressClass::Reserved,
    ),
    v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, AddressClass::Reserved),
    v6(
        [0x3fff, 0, 0, 0, 0, 0, 0, 0],
        20,
        AddressClass::Documentation,
    ),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, AddressClass::Reserved),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, AddressClass::Private),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, AddressClass::LinkLocal),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, AddressClass::Private),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, AddressClass::Multicast),
    v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, AddressClass::Public),
];

/// `::ffff:0:0/96` and `64:ff9b::/96`, without their last 32 bits.
const HOLDS_V4: [u128; 2] = [0xffff, 0x0064_ff9b << 64];

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    let bits = address.to_bits();
    let found = V4
        .iter()
        .find(|block| (bits ^ block.first) >> (32 - block.bits) == 0);
    found.map_or(AddressClass::Public, |block| block.class)
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if let Some(held) = held_v4(address) {
        return classify_v4(held);
    }
    let bits = address.to_bits();
    let found = V6
        .iter()
        .find(|block| (bits ^ block.first) >> (128 - block.bits) == 0);
    match found.map_or(AddressClass::Reserved, |block| block.class) {
        AddressClass::Public if is_isatap(address) => AddressClass::Transition,
        class => class,
    }
}

/// The IPv4 address that an IPv6 address reaches.
fn held_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    HOLDS_V4
        .contains(&(address.to_bits() >> 32))
        .then(|| Ipv4Addr::new(a, b, c, d))
}

/// An interface id that RFC 5214 gives a tunnel's end.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., high, low, _, _] = address.segments();
    matches!(high, 0 | 0x200) && low == 0x5efe
}
