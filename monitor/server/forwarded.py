"""Accepts X-Forwarded-* headers from named proxies only."""

import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: Sequence[Network] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)

_PREFIX = "HTTP_X_FORWARDED_"
_OTHER = "HTTP_FORWARDED"

log = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class FromProxies:
    """A WSGI application before another one: it removes the headers of other clients."""

    def __init__(self, application: Application, proxies: Sequence[Network]) -> None:
        """`proxies`: the addresses of proxies. Every client of a UNIX socket is one too."""
        self._application, self._proxies = application, proxies
        self._warned = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """PEP 3333."""
        names = [each for each in environ if each.startswith(_PREFIX) or each == _OTHER]
        if names and not self._names(environ["REMOTE_ADDR"]):
            self._warn(environ["REMOTE_ADDR"])
            for name in names:
                del environ[name]
        return self._application(environ, start_response)

    def _names(self, peer: str) -> bool:
        if not peer:
            return True
        address = ipaddress.ip_address(peer)
        return any(address in each for each in self._proxies)

    def _warn(self, peer: str) -> None:
        """Once, because any client can send such headers."""
        if not self._warned:
            self._warned = True
            log.warning(
                "the X-Forwarded headers of %s are not used; if it is your proxy, add its address "
                "to server.proxy_addresses",
                peer,
            )
