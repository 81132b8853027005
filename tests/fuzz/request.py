"""Sends one request as raw bytes and reads the answers."""

import http.client
import re
import socket
from dataclasses import dataclass, field

PATIENCE = 30.0
"""Seconds within which every complete request must be answered."""
_INCOMPLETE = 0.3
"""Seconds to wait for an answer to a request that may look incomplete to the server."""

_STATUS = re.compile(rb"(?:^|\r\n\r\n|\n)HTTP/1\.[01] (\d{3})")


@dataclass
class Request:
    """A request; a body gets the correct Content-Length."""

    method: bytes
    path: bytes
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    frames_itself: bool = False
    """The headers already give a length, correct or not."""
    version: bytes = b"HTTP/1.1"
    pipelined: bytes = b""
    """Further requests on the same connection."""
    half_closed: bool = False
    """Close the sending side after the request."""
    abandoned: bool = False
    """Close the connection without waiting for an answer."""

    def raw(self) -> bytes:
        """The request as bytes."""
        target = self.path + (b"?" + self.query if self.query else b"")
        lines = [b" ".join((self.method, target, self.version))]
        lines += [name + b": " + value if name else value for name, value in self.headers]
        if not self.frames_itself and (self.body or self.method in (b"POST", b"PUT", b"PATCH")):
            lines.append(b"Content-Length: %d" % len(self.body))
        if not self.pipelined:
            lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body + self.pipelined

    def replace(self, name: bytes, *values: bytes) -> None:
        """Set a header once per value; without values remove it."""
        self.headers = [each for each in self.headers if each[0].lower() != name.lower()]
        self.headers += [(name, value) for value in values]


@dataclass(frozen=True)
class Answer:
    """The answer; `status` 0: none, and `trouble` is the reason."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    others: tuple[int, ...] = ()
    """The statuses of pipelined requests."""
    trouble: str = ""


def send(port: int, request: Request) -> Answer:
    """Send the request on a new connection."""
    waits = _INCOMPLETE if request.frames_itself and not request.half_closed else PATIENCE
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.settimeout(waits)
            try:
                connection.sendall(request.raw())
                if request.half_closed:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent: an answer may exist
            if request.abandoned:
                return Answer(0, trouble="abandoned")
            if request.pipelined:
                return _all_answers(connection)
            return _answer(connection, request.method)
    except TimeoutError:
        return Answer(0, trouble="incomplete" if waits == _INCOMPLETE else "no answer in time")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, trouble=f"{type(error).__name__}: {error}")


def _answer(connection: socket.socket, method: bytes) -> Answer:
    response = http.client.HTTPResponse(connection, method=method.decode("latin-1"))
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def _all_answers(connection: socket.socket) -> Answer:
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionError:
        pass
    except TimeoutError:
        if connection.gettimeout() != _INCOMPLETE:
            raise
    statuses = [int(status) for status in _STATUS.findall(received)]
    if not statuses:
        return Answer(0, trouble="no answer to pipelined requests")
    return Answer(statuses[0], {"retry-after": "?"}, received, tuple(statuses[1:]))
