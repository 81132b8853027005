"""Connections to addresses that were looked at, and to no others.

A name is resolved once. Every address it has must be public unless internal ones are allowed, and
the connection is made to just those: whoever may write a setting, or the DNS, must not reach the
inside of the network through us.
"""

import ipaddress
import socket
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST = 4  # with 4 seconds for each, well below what a channel may take

# "Globally reachable" as of IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890),
# where N/A counts as not. The narrowest network that holds an address decides.
_REACHABLE = {
    ipaddress.ip_network(network): reachable
    for network, reachable in {
        "0.0.0.0/0": True,
        "0.0.0.0/8": False,  # "this network"
        "10.0.0.0/8": False,  # private use
        "100.64.0.0/10": False,  # shared address space
        "127.0.0.0/8": False,  # loopback
        "169.254.0.0/16": False,  # link local
        "172.16.0.0/12": False,  # private use
        "192.0.0.0/24": False,  # IETF protocol assignments, with the dummy address 192.0.0.8
        "192.0.0.9/32": True,  # Port Control Protocol anycast
        "192.0.0.10/32": True,  # TURN anycast
        "192.0.2.0/24": False,  # documentation
        "192.31.196.0/24": True,  # AS112-v4
        "192.52.193.0/24": True,  # AMT
        "192.88.99.0/24": False,  # deprecated: 6to4 relay anycast
        "192.168.0.0/16": False,  # private use
        "192.175.48.0/24": True,  # direct delegation AS112 service
        "198.18.0.0/15": False,  # benchmarking
        "198.51.100.0/24": False,  # documentation
        "203.0.113.0/24": False,  # documentation
        "224.0.0.0/4": False,  # multicast: of another registry
        "240.0.0.0/4": False,  # reserved, with limited broadcast
        "::/0": False,  # what is not global unicast: unspecified, loopback, fc00::/7, fe80::/10 …
        "2000::/3": True,  # global unicast: of IANA's IPv6 address space
        "64:ff9b:1::/48": False,  # the same for local use
        "100::/64": False,  # discard only
        "100:0:0:1::/64": False,  # dummy prefix
        "2001::/23": False,  # IETF protocol assignments, with Teredo and benchmarking
        "2001:1::1/128": True,  # Port Control Protocol anycast
        "2001:1::2/128": True,  # TURN anycast
        "2001:1::3/128": True,  # DNS-SD service registration anycast
        "2001:3::/32": True,  # AMT
        "2001:4:112::/48": True,  # AS112-v6
        "2001:20::/28": True,  # ORCHIDv2
        "2001:30::/28": True,  # drone remote ID
        "2001:db8::/32": False,  # documentation
        "2002::/16": False,  # 6to4
        "2620:4f:8000::/48": True,  # direct delegation AS112 service
        "3fff::/20": False,  # documentation
        "5f00::/16": False,  # segment routing
        "fc00::/7": False,  # unique local
        "fe80::/10": False,  # link local
    }.items()
}
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


class Internal(Exception):
    """The name leads to an address that is not public."""

    def __init__(self) -> None:
        super().__init__("the address is internal; set allow_internal to send there")


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public network, whatever form it is wrapped in."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return _is_reachable(address.ipv4_mapped)
        if address in _TRANSLATED:
            return _is_reachable(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return _is_reachable(address)


def _is_reachable(address: Address) -> bool:
    holding = (network for network in _REACHABLE if address in network)
    return _REACHABLE[max(holding, key=lambda network: network.prefixlen)]


def resolve(host: str, port: int, allow_internal: bool) -> list[str]:
    """The addresses that the name has just now.

    Raises Internal unless all are public or internal ones are allowed, and socket.gaierror for a
    name that is not known.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError as error:  # such as a label of 64 letters
        raise socket.gaierror(socket.EAI_NONAME, "not a valid host name") from error
    places = [str(place[4][0]) for place in found]
    if not allow_internal and not all(is_public(place) for place in places):
        raise Internal
    return places


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
    trouble = OSError("the host name has no address")
    for place in resolve(host, port, allow_internal)[:_MOST]:
        try:
            connected = socket.create_connection((place, port), timeout)
        except OSError as error:
            trouble = error
            continue
        for option in options:
            connected.setsockopt(*option)
        return connected
    raise trouble
