"""Connections to addresses that were looked at, and to no others.

A name is resolved once. Every address it has must be public unless internal ones are allowed, and
the connection is made to just those: whoever may write a setting, or the DNS, must not reach the
inside of the network through us.
"""

import ipaddress
import socket
from collections.abc import Iterable

_MOST = 4  # with 4 seconds for each, well below what a channel may take
_IN_USE = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Internal(Exception):
    """The name leads to an address that is not public."""

    def __init__(self) -> None:
        super().__init__("the address is internal; set allow_internal to send there")


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public network, whatever form it is wrapped in."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address not in _IN_USE:
            return False
        address = inner or address
    return address.is_global and not address.is_multicast


def connect(
    host: str,
    port: int,
    allow_internal: bool,
    timeout: float | None,
    options: Iterable[tuple[int, int, int | bytes]] = (),
) -> socket.socket:
    """A socket to the first address that answers, of those the name has just now.

    `timeout`: seconds for each address; `options`: as `setsockopt` takes them. Raises Internal,
    and OSError (socket.gaierror for a name that is not known).
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = [str(place[4][0]) for place in found]
    if not allow_internal and not all(is_public(place) for place in places):
        raise Internal
    trouble = OSError("the name has no address")
    for place in places[:_MOST]:
        try:
            connected = socket.create_connection((place, port), timeout)
        except OSError as error:
            trouble = error
            continue
        for option in options:
            connected.setsockopt(*option)
        return connected
    raise trouble
