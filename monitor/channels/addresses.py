"""Connections to checked addresses only.

A host name is resolved once. All its addresses must be public unless internal ones are allowed, and
the connection goes to one of exactly these addresses. So a person who can change a setting or the
DNS can't reach the internal network through this service (SSRF).
"""

import ipaddress
import socket
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_TRIED = 4  # at 4 seconds each, well below a channel's time limit

# "Globally reachable" as of IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890),
# where N/A counts as false. The smallest network that contains an address decides.
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
        "224.0.0.0/4": False,  # multicast (from another registry)
        "240.0.0.0/4": False,  # reserved, with limited broadcast
        "::/0": False,  # what is not global unicast: unspecified, loopback, fc00::/7, fe80::/10 …
        "2000::/3": True,  # global unicast (from IANA's IPv6 address space registry)
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
    """The host name has an address that is not public."""

    def __init__(self) -> None:
        super().__init__("the address is internal; set allow_internal to send there")


def is_public(text: str) -> bool:
    """Whether an IP address is public, also if it is IPv4-mapped or translated (NAT64)."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return _is_reachable(address.ipv4_mapped)
        if address in _TRANSLATED:
            return _is_reachable(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return _is_reachable(address)


def _is_reachable(address: Address) -> bool:
    matching = (network for network in _REACHABLE if address in network)
    return _REACHABLE[max(matching, key=lambda network: network.prefixlen)]


def resolve(host: str, port: int, allow_internal: bool) -> list[str]:
    """The host's current addresses.

    Raises Internal unless all are public or internal ones are allowed, and socket.gaierror for an
    unknown host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError as error:  # such as a label of 64 letters
        raise socket.gaierror(socket.EAI_NONAME, "not a valid host name") from error
    resolved = [str(info[4][0]) for info in found]
    if not allow_internal and not all(is_public(address) for address in resolved):
        raise Internal
    return resolved


def connect(
    host: str,
    port: int,
    allow_internal: bool,
    timeout: float | None,
    options: Iterable[tuple[int, int, int | bytes]] = (),
) -> socket.socket:
    """A socket to the first of the host's current addresses that answers.

    `timeout`: seconds for each address; `options`: arguments for `setsockopt`. Raises Internal,
    and OSError (socket.gaierror for an unknown host).
    """
    failure = OSError("the host name has no address")
    for address in resolve(host, port, allow_internal)[:_MAX_TRIED]:
        try:
            connected = socket.create_connection((address, port), timeout)
        except OSError as error:
            failure = error
            continue
        for option in options:
            connected.setsockopt(*option)
        return connected
    raise failure
