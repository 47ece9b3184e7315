"""Which addresses are public, and which spellings of a host are addresses."""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_EMBEDDING = tuple(
    ipaddress.ip_network(network)
    for network in (
        "::/96",  # IPv4-compatible, RFC 4291
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # local NAT64, RFC 8215
        "2001::/32",  # Teredo, RFC 4380
        "2002::/16",  # 6to4, RFC 3056
        "fec0::/10",  # site-local, RFC 3879
    )
)
"""Refused whatever `ipaddress` says: they carry another address, or belong to a site. Python 3.11
calls several of them global."""

_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Carrier-grade NAT and overlay networks, RFC 6598."""


def is_public(address: str) -> bool:
    """Say whether *address*, as a socket names its peer, lies on the public internet."""
    try:
        parsed: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if any(parsed in network for network in _EMBEDDING):
            return False
    elif parsed in _SHARED:
        return False
    return parsed.is_global and not (
        parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified
    )


def literal(host: str) -> str | None:
    """Return the address that *host* spells, or ``None`` where it is a name.

    Every spelling that the C library takes counts: decimal, hexadecimal, octal, shortened.
    """
    bare = host.strip("[]").rstrip(".").partition("%")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except (OSError, UnicodeEncodeError):
        return None
