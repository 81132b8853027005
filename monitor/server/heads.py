"""The status line and the headers of responses."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Dates:
    """The Date header, formatted once a second."""

    def __init__(self) -> None:
        self._second, self._line = 0, b""

    def line(self) -> bytes:
        """The header with its line end."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line


_dates = Dates()


def head(status: int, headers: Iterable[tuple[str, str]], *more: bytes) -> bytes:
    """The status line and headers of a response, with Date. `more`: header lines. A tuple of
    headers is kept encoded: pass one if the headers are often the same."""
    start = _start(status, headers) if type(headers) is tuple else _encoded(status, headers)
    return b"".join((start, _dates.line(), *more, b"\r\n"))


def _encoded(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()
    return line + "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")


_start = lru_cache(maxsize=100)(_encoded)
