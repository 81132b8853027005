"""Requests to Amazon Web Services, signed with an access key (Signature Version 4)."""

import re
from collections.abc import Mapping
from typing import Any

from monitor.channels import http
from monitor.channels.interface import SendFailed

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}")
_KEY_ID = re.compile(r"[A-Z0-9]{16,128}")
_CODE = re.compile(r"<Code>([A-Za-z.]{1,80})</Code>")
_NAME = re.compile(r"[A-Za-z]{1,80}")

# Temporary conditions, and errors of the account that an operator can fix. Retry these.
_TEMPORARY = re.compile(
    "Throttl|TooManyRequests|LimitExceeded|SendingPaused|RequestExpired|RequestTimeTooSkewed"
)


class Account:
    """An access key, for one service in one region."""

    def __init__(
        self, service: str, region: str, access_key_id: str, secret: str, endpoint: str, host: str
    ) -> None:
        """If `endpoint` is empty, it is https://HOST.REGION.amazonaws.com. Raises ValueError."""
        try:
            from botocore.auth import SigV4Auth
            from botocore.credentials import Credentials
        except ImportError:
            detail = "Amazon channels need an extra package: install heartbeat-monitor[aws]"
            raise ValueError(detail) from None
        if not _REGION.fullmatch(region):
            raise ValueError("region: must look like eu-north-1")
        if not _KEY_ID.fullmatch(access_key_id):
            raise ValueError("access_key_id: must be at least 16 capital letters and digits")
        if not secret.isascii() or not secret.isprintable() or len(secret) < 16:
            raise ValueError("secret_access_key: must be the secret shown with the access key")
        self._url = (
            http.checked_url("endpoint", endpoint)
            if endpoint
            else f"https://{host}.{region}.amazonaws.com"
        )
        self._signer: Any = SigV4Auth(Credentials(access_key_id, secret), service, region)

    def post(self, path: str, body: bytes, content_type: str, allow_internal: bool) -> http.Answer:
        """Sends a POST request and returns the 2xx response. Raises SendFailed with the service's
        error code."""
        from botocore.awsrequest import AWSRequest

        url = self._url + path
        request = AWSRequest("POST", url, {"Content-Type": content_type}, body)
        self._signer.add_auth(request)
        try:
            return http.post(url, body, dict(request.headers.items()), allow_internal)
        except http.Refused as refused:
            raise _explained(refused) from None


def _explained(refused: http.Refused) -> SendFailed:
    code = _code(refused.answer.headers, refused.answer.body)
    if code:
        refused.detail += f": {code}"
    if refused.status in (401, 403) or _TEMPORARY.search(code):
        refused.permanent = False
    return refused


def _code(headers: Mapping[str, str], body: bytes) -> str:
    """The error code: from a header for JSON services, from XML for the others. The error text is
    not used, because it contains the access key."""
    named = _NAME.match(headers.get("x-amzn-ErrorType", ""))
    if named:
        return named[0]
    found = _CODE.search(body.decode("utf-8", "replace"))
    return found[1] if found else ""
