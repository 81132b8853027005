"""Why heartbeats are refused. The reasons are few: they are label values in `/metrics`."""

from typing import NamedTuple

INVALID = "invalid"
UNAUTHORIZED = "unauthorized"
UNSAFE_URL = "unsafe_url"
OTHER_SITE = "other_site"
SENSOR_LIMIT = "sensor_limit"
METHOD = "method"
TOO_LARGE = "too_large"
UNSUPPORTED = "unsupported"
WRONG_HOST = "host"
TOO_OFTEN = "rate"
FAILED = "error"
UNAVAILABLE = "unavailable"


class Reason(NamedTuple):
    """What a reason means. `ours`: the heartbeat may be valid, and the cause is this service or its
    settings. So the sensor may be up, and its silence proves nothing."""

    status: int
    """Of the HTTP response."""
    text: str
    ours: bool = False

    def __str__(self) -> str:
        return f"{self.status}, {self.text}"


REASONS = {
    INVALID: Reason(400, "the heartbeat is invalid"),
    UNAUTHORIZED: Reason(401, "the token is missing or not valid", ours=True),
    UNSAFE_URL: Reason(400, "the token is in the URL"),
    OTHER_SITE: Reason(403, "the request is from a page of another site"),
    SENSOR_LIMIT: Reason(403, "the limit of sensors is reached", ours=True),
    METHOD: Reason(405, "the method is not allowed"),
    TOO_LARGE: Reason(413, "the request is too large"),
    UNSUPPORTED: Reason(415, "the type of the content is not supported"),
    WRONG_HOST: Reason(421, "the Host header does not name this server", ours=True),
    TOO_OFTEN: Reason(429, "the sensor reports too often"),
    FAILED: Reason(500, "the request failed", ours=True),
    UNAVAILABLE: Reason(503, "heartbeats can't be stored", ours=True),
}

OURS = tuple(name for name, reason in REASONS.items() if reason.ours)

OF_STATUS = {reason.status: name for name, reason in reversed(REASONS.items())}
"""HTTP status -> the first reason with it."""

PRESUMED = "presumed down, because monitoring was blind or refused its heartbeats"
"""Why an incident was opened without proof."""
