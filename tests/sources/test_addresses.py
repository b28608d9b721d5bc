from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.sources.addresses import embedded_ipv4, parse_address, refusal_of

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1"]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "100::1",
    "4000::1",
    "64:ff9b:1::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_pass(text: str) -> None:
    """An ordinary address on the internet is not refused."""
    assert refusal_of(ip_address(text)) is None


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_special_addresses_are_refused(text: str) -> None:
    """Every special-purpose address is refused, with a reason."""
    assert refusal_of(ip_address(text))


def _wrapped(inner: IPv4Address) -> list[IPv6Address]:
    value = int(inner)
    return [
        IPv6Address(0xFFFF << 32 | value),
        IPv6Address(value),
        IPv6Address(0x2002 << 112 | value << 80 | 1),
        IPv6Address(0x64FF9B << 96 | value),
        IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | value),
        IPv6Address(0x2606_4700 << 96 | 0x0200_5EFE << 32 | value),
    ]


@given(st.integers(2, 2**32 - 1))
def test_an_embedded_address_is_found_whatever_wraps_it(value: int) -> None:
    """Mapped, compatible, 6to4, NAT64 and ISATAP forms give up the IPv4 address inside."""
    inner = IPv4Address(value)
    assert [embedded_ipv4(address) for address in _wrapped(inner)] == [inner] * 6


@given(st.integers(2, 2**32 - 1))
def test_wrapping_never_makes_a_refused_address_pass(value: int) -> None:
    """No IPv6 form of a refused IPv4 address is let through."""
    inner = IPv4Address(value)
    if refusal_of(inner) is not None:
        assert all(refusal_of(address) for address in _wrapped(inner))


def test_a_mapped_public_address_passes() -> None:
    """Mapped and NAT64 forms of a public address reach that address, and pass."""
    assert refusal_of(ip_address("::ffff:8.8.8.8")) is None
    assert refusal_of(ip_address("64:ff9b::808:808")) is None


@given(st.ip_addresses(v=6))
def test_ipv6_agrees_with_the_standard_library_where_that_refuses(address: IPv6Address) -> None:
    """Whatever `ipaddress` calls private, loopback, link-local, multicast or unspecified is refused here."""
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    if special or address.is_site_local:
        assert refusal_of(address)


@given(st.ip_addresses(v=4))
def test_ipv4_agrees_with_the_standard_library(address: IPv4Address) -> None:
    """Whatever `ipaddress` does not call global is refused here."""
    if not address.is_global or address.is_multicast:
        assert refusal_of(address)


def test_a_zone_is_no_address() -> None:
    """A scoped address, which would name an interface of the server, is not parsed."""
    with pytest.raises(ValueError, match="zone"):
        parse_address("fe80::1%eth0")
