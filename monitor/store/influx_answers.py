"""Checks that a response comes from InfluxDB.

Something else may answer instead: a proxy's maintenance page, a captive portal, a login page. The
client library treats any 2xx as success and follows redirects. So without this check, a batch sent
to such a page would count as stored and be lost.
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

_VERSION_HEADER = "X-Influxdb-Version"
"""A header of every response of InfluxDB 2, also of errors."""

_WITHOUT_CONTENT = ("/api/v2/write", "/api/v2/delete")
"""InfluxDB answers successful requests to these paths with 204 only."""


NO_TLS = (
    "InfluxDB can't be reached: TLS failed; if its certificate is from a private authority, set "
    "tls.ca_file"
)


def is_influxdb(headers: Mapping[str, str] | None) -> bool:
    """Whether the response is from InfluxDB; `headers` must be case-insensitive."""
    return headers is not None and _VERSION_HEADER in headers


def foreign(status: int, headers: Mapping[str, str] | None) -> StoreUnavailable:
    """The error for a response that is not from InfluxDB."""
    kind = (headers or {}).get("Content-Type", "no content type")
    return StoreUnavailable(f"something other than InfluxDB answered {status} ({kind[:80]})")


class StrictClient(RESTClientObject):  # type: ignore[misc]
    """The client library's HTTP client that accepts only responses from InfluxDB. It does not
    follow redirects.

    Raises StoreUnavailable for any other response, except for 413: a proxy may limit the size of a
    request, so the caller sends less at once.
    """

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """As in the library: returns its response, raises ApiException for InfluxDB's errors."""
        try:
            answer = super().request(method, url, *args, redirect=False, **options)
        except UnicodeDecodeError as error:
            raise StoreUnavailable("something other than InfluxDB answered in bytes") from error
        except ApiException as error:
            if not error.status:  # there was no response: the library means an error of TLS
                raise StoreUnavailable(NO_TLS) from error
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
