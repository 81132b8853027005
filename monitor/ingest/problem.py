"""Error responses: `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import msgspec

from monitor.server.messages import PROBLEM, Response

CONTENT_TYPE = PROBLEM


class Problem(Exception):
    """A request that gets an error response. `field` names the part of the request at fault."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
        rejected: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}
        self.rejected = rejected
        """The rejected rows of a batch that has no valid row."""

    def body(self) -> bytes:
        """The JSON document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.field is not None:
            document["field"] = self.field
        if self.rejected is not None:
            document["rejected"] = self.rejected
        return msgspec.json.encode(document)

    def response(self) -> Response:
        """The response with the document."""
        headers = [
            ("Content-Type", CONTENT_TYPE),
            ("Cache-Control", "no-store"),
            *self.headers.items(),
        ]
        return Response(self.status.value, headers, self.body())
