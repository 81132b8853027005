"""Error responses: `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from monitor.refusal import OF_STATUS
from monitor.server.messages import Response, problem


class Problem(Exception):
    """A request that gets an error response. `field` names the part of the request at fault."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
        rejected: list[dict[str, Any]] | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}
        self.rejected = rejected
        """The rejected rows of a batch that has no valid row."""
        self.reason = OF_STATUS[status] if reason is None else reason
        """A key of `refusal.REASONS`; "" if its heartbeats are counted already."""

    def response(self) -> Response:
        """The response with the document."""
        return problem(
            self.status,
            self.detail,
            *self.headers.items(),
            field=self.field,
            rejected=self.rejected,
        )
