"""Requests of a connection that wait for their turn."""

from typing import NamedTuple

from monitor.server.messages import Handler, Request, RequestError, Send


class Turn(NamedTuple):
    """A request that waits or is handled. `reserved`: bytes of its body that count as buffered."""

    request: Request
    handler: Handler | None
    """None: the pages."""
    keep_alive: bool
    reserved: int


class Refusal:
    """Answers a malformed request in its turn."""

    body_limit = 0

    def __init__(self, error: RequestError) -> None:
        self._error = error

    def handle(self, _request: Request, send: Send) -> None:
        """See `messages.Handler`."""
        send(self._error.response())

    def refused(self) -> None:
        """See `messages.Handler`."""


MALFORMED = Request("", "", "", "", "1.1", {})
"""Stands for a request that could not be read."""
