"""Checks the Host header of requests against the names of this server."""

import ipaddress
import re
from collections.abc import Iterable

_HOST = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
"""Of a Host header in lower case (RFC 9110, 7.2), without percent-encoding."""

_REMEMBERED = 1_000


def is_name(name: str) -> bool:
    """Whether `TrustedHosts` can compare this name with a Host header."""
    closed = "]" in name if "[" in name else True
    return closed and "/" not in name and _HOST.fullmatch(_normal(name)) is not None


class TrustedHosts:
    """The names that a Host header may have."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names`: host names and addresses. A name that starts with a dot stands for all names
        that end with it, and for itself without the dot. Ports are ignored. Empty: all hosts."""
        wanted = [_normal(each) for each in names]
        self._names = frozenset(each.removeprefix(".") for each in wanted)
        self._endings = tuple(each for each in wanted if each.startswith("."))
        self._trusted: set[str] = set()
        """Headers that were accepted: each sensor sends the same one again."""

    def trusts(self, host: str) -> bool:
        """`host`: a Host header, with or without a port."""
        if not self._names or host in self._trusted:
            return True
        trusted = self._checked(host)
        if trusted and len(self._trusted) < _REMEMBERED:
            self._trusted.add(host)
        return trusted

    def _checked(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None or not 0 < int(found["port"] or 1) < 1 << 16:
            return False
        name = _address(found["name"])
        return name in self._names or name.endswith(self._endings)


def _normal(name: str) -> str:
    """A name from the settings as it is compared."""
    name = name.strip().lower()
    try:
        return f"[{ipaddress.IPv6Address(name)}]"
    except ValueError:
        pass
    if name.startswith("["):
        return _address(name.partition("]")[0] + "]")
    name = name.partition(":")[0]
    try:
        return name.encode("idna").decode("ascii") if not name.isascii() else name
    except UnicodeError:  # no host has this name
        return name


def _address(name: str) -> str:
    """An IPv6 address in its shortest form; any other name as it is."""
    if name.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            pass
    return name
