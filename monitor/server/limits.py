"""What the server accepts from its clients."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Sizes in bytes, times in seconds."""

    request_line: int = 8_190
    header: int = 8_190
    """One header, its name included."""
    headers: int = 100
    """The number of headers."""
    buffered: int = 64 * 1024 * 1024
    """The bodies of all requests that a worker is reading or handling."""
    connections: int = 10_000
    """Open connections of a worker. One more closes idle ones, those idle for longest first."""
    head_timeout: float = 30
    """From the connection, or the first byte of a further request, to the end of its headers."""
    body_timeout: float = 30
    """From the headers to the end of the body; extended for received bytes, see `body_rate`."""
    body_rate: float = 500
    """Bytes per second that extend the time for a body."""
    idle_timeout: float = 75
    """Between two requests of a connection."""
    send_timeout: float = 60
    """How long a client may take nothing of a response."""
    linger: float = 2
    """After an error, the rest of the request is read and dropped for this long: closing at once
    would reset the connection, and the client could lose the response."""
    handshake: float = 0.2
    """When the server stops, clients that are connecting have this long to complete that."""
    drain: float = 0.5
    """When the server stops, idle connections are kept for this long. A request that arrives in
    this time is answered, with Connection: close."""
