"""Which IP addresses a server may be sent to by a stranger. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The special-purpose registries of IANA (RFC 6890), written out, since `ipaddress` changed its mind between
# patch releases of Python.
_REFUSED_V4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (carrier NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_V6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved"),  # Teredo, ORCHID, benchmarks: none is a place to fetch audio from
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_6TO4: Final = IPv6Network("2002::/16")
_V4_COMPATIBLE: Final = IPv6Network("::/96")
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets for this one end up at: mapped, compatible, 6to4, NAT64 or ISATAP."""
    value = int(address)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _6TO4:
        return IPv4Address(value >> 80 & 0xFFFF_FFFF)
    if address in _NAT64:
        return IPv4Address(value & 0xFFFF_FFFF)
    if address in _V4_COMPATIBLE and value > 1:
        return IPv4Address(value & 0xFFFF_FFFF)
    if value >> 32 & 0xFFFF_FFFF in _ISATAP:
        return IPv4Address(value & 0xFFFF_FFFF)
    return None


def refusal_of(address: Address) -> str | None:
    """Why this address is not a public unicast one, None where it is."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in _REFUSED_V4 if address in network), None)
    inner = embedded_ipv4(address)
    if inner is not None:
        why = refusal_of(inner)
        if why is not None:
            return why
        if address in _NAT64 or address.ipv4_mapped is not None:
            return None
    why = next((why for network, why in _REFUSED_V6 if address in network), None)
    if why is None and address not in _GLOBAL_V6:
        return "reserved"
    return why


def parse_address(text: str) -> Address:
    """An address as a resolver gives it. Raises ValueError; a zone (`fe80::1%eth0`) is kept out."""
    if "%" in text:
        raise ValueError(f"{text} has a zone")
    return ip_address(text)
