"""What counts as an answer of InfluxDB.

Something else may answer in its place: a proxy's maintenance page, a captive portal, a login. The
client library takes any 2xx for success and follows redirects, so a batch that such a page
swallowed would count as stored and be lost.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
from influxdb_client._sync.rest import RESTClientObject
from influxdb_client.rest import ApiException

from monitor.decoding import from_json
from monitor.store.interface import StoreUnavailable

_SIGN = "X-Influxdb-Version"
"""A header of every answer of InfluxDB 2, refusals and errors included."""

_WITHOUT_CONTENT = ("/api/v2/write", "/api/v2/delete")
"""InfluxDB answers these with 204 once it is done, and with nothing else."""


def is_influxdb(headers: Mapping[str, str] | None) -> bool:
    """Whether InfluxDB itself gave this answer; `headers` in any case."""
    return headers is not None and _SIGN in headers


def foreign(status: int, headers: Mapping[str, str] | None) -> StoreUnavailable:
    """The error for an answer that InfluxDB did not give."""
    kind = (headers or {}).get("Content-Type", "no content type")
    return StoreUnavailable(f"something other than InfluxDB answered {status} ({kind[:80]})")


class StrictClient(RESTClientObject):  # type: ignore[misc]
    """The HTTP of the client library, for answers of InfluxDB alone. Follows no redirects.

    Raises StoreUnavailable for the answer of anything else, except for 413: a proxy may limit how
    much is posted at once, so the caller posts less.
    """

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """As the library's; returns its response, raises its ApiException for InfluxDB's errors."""
        try:
            answer = super().request(method, url, *args, redirect=False, **options)
        except UnicodeDecodeError as error:
            raise StoreUnavailable("something other than InfluxDB answered in bytes") from error
        except ApiException as error:
            too_large = error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            if too_large or is_influxdb(error.headers):
                raise
            raise foreign(error.status, error.headers) from error
        whole = options.get("_preload_content", True)
        headers = answer.getheaders() if whole else answer.headers
        if not is_influxdb(headers):
            raise foreign(answer.status, headers)
        if urlsplit(url).path.endswith(_WITHOUT_CONTENT):
            if answer.status != HTTPStatus.NO_CONTENT:
                raise StoreUnavailable(f"InfluxDB answered {answer.status} instead of 204")
        elif whole and not _is_object(answer.data):
            raise StoreUnavailable(f"InfluxDB sent an incomplete answer: {answer.data[-80:]!r}")
        return answer


def _is_object(text: str) -> bool:
    try:
        return isinstance(from_json(text, object), dict)
    except msgspec.DecodeError:
        return False
