"""Prometheus Alertmanager (API v2), for users who already group, route and silence alerts there.

Alertmanager loses its alerts when it restarts, and drops alerts that are not sent again. So the
notifier sends all active alerts every minute, as Prometheus does, with an end a few minutes ahead:
an alert expires even if its end could not be delivered. An alert is active until its incident is
closed, even if the incident is acknowledged or silenced here: Alertmanager has its own silences.

Instances of a cluster (high availability) share the log of what they sent, but not their alerts, so
every instance gets all alerts. A message is accepted once one instance accepted all of it. An
instance that was unreachable has the alerts within a minute of its return.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

import msgspec

from monitor.channels import alerts, http
from monitor.channels.alerts import Alert
from monitor.channels.interface import Message, SendFailed
from monitor.clock import Clock
from monitor.decoding import from_json
from monitor.model import SECOND, format_time, parse_time

_BATCH = 250
"""Alerts in one POST request: well below the 1 MB that many proxies allow."""

_QUERY_BATCH = 20
"""Sensors in one query: only the start of a response is read."""

_TIMEOUT = 25
"""Seconds for all instances together."""

_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The addresses and the login."""

    urls: list[str]
    """The base URL of each instance."""
    username: str = ""
    """For basic authentication."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For instances that require a login. Set at most one."""

    password: str = ""
    bearer_token: str = ""


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Alertmanager":
    """The channel. Raises ValueError, which contains no secret."""
    if not settings.urls:
        raise ValueError("urls: at least one is required")
    for url in settings.urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("urls: each must look like https://alertmanager.example.org")
    if bool(settings.username) != bool(secrets.password):
        raise ValueError("username and password must be set together")
    if secrets.password and secrets.bearer_token:
        raise ValueError("needs a password or a bearer token, not both")
    headers = {}
    if secrets.password:
        login = f"{settings.username}:{secrets.password}".encode()
        headers["Authorization"] = f"Basic {b64encode(login).decode()}"
    elif secrets.bearer_token:
        headers["Authorization"] = f"Bearer {secrets.bearer_token}"
    return Alertmanager(name, settings.urls, headers, allow_internal)


class Alertmanager:
    """One or more Alertmanager instances that all receive the same alerts."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        headers: Mapping[str, str],
        allow_internal: bool = False,
    ) -> None:
        """`urls`: the base URL of each instance; `headers`: for authentication."""
        self.name = name
        self._urls = [url.rstrip("/") for url in urls]
        self._headers, self._allow_internal = dict(headers), allow_internal

    def send(self, message: Message) -> None:
        """Returns once at least one instance accepted the message. Raises SendFailed, which is
        permanent only if all failures are."""
        threads, now = ThreadPoolExecutor(len(self._urls)), Clock().now()
        calls = [threads.submit(self._post, url, message, now) for url in self._urls]
        wait(calls, _TIMEOUT)
        threads.shutdown(wait=False, cancel_futures=True)
        failures = []
        for number, call in enumerate(calls, 1):
            failure = call.exception() if call.done() else _TIMED_OUT
            if failure is None:
                continue
            if not isinstance(failure, SendFailed):
                raise failure
            failures.append(failure)
            _log.warning(
                "channel %s: Alertmanager %d of %d failed: %s",
                self.name,
                number,
                len(calls),
                failure,
            )
        if len(failures) == len(calls):
            delays = [failure.retry_after for failure in failures if failure.retry_after]
            raise SendFailed(
                "; ".join(sorted({failure.detail for failure in failures})),
                permanent=all(failure.permanent for failure in failures),
                retry_after=min(delays, default=None),
            )

    def _post(self, url: str, message: Message, now: int) -> None:
        content = alerts.alerts(message, now)
        if message.kind == "recovered":
            content = self._ended_alerts(url, content)
        headers = {"Content-Type": "application/json", **self._headers}
        for start in range(0, len(content), _BATCH):
            body = json.dumps(content[start : start + _BATCH]).encode()
            http.post(f"{url}/api/v2/alerts", body, headers, self._allow_internal)

    def _ended_alerts(self, url: str, content: Sequence[Alert]) -> list[Alert]:
        """These alerts as ended, also under the labels that the sensor had earlier.

        The ends are in the past by the receiver's clock: it would ignore a future end.
        """
        ended = []
        for start in range(0, len(content), _QUERY_BATCH):
            part = {
                alert["labels"]["mac"]: alert for alert in content[start : start + _QUERY_BATCH]
            }
            firing, now = self._firing(url, list(part))
            known = [part[labels["mac"]] | {"labels": labels} for labels in firing]
            new = [alert for alert in part.values() if alert["labels"] not in firing]
            ended += [_moved_to_past(alert, now) for alert in known + new]
        return ended

    def _firing(self, url: str, macs: Sequence[str]) -> tuple[list[dict[str, str]], int | None]:
        """Labels of the receiver's `SensorSilent` alerts of these sensors, and its time (ms) if
        the response has a Date header."""
        filters = (f'alertname="{alerts.SILENT}"', f'mac=~"{"|".join(macs)}"')
        query = urlencode([("filter", each) for each in filters])
        try:
            answer = http.get(f"{url}/api/v2/alerts?{query}", self._headers, self._allow_internal)
        except SendFailed as refused:
            if not refused.permanent:
                raise
            return [], None  # the login allows writing but not reading
        try:
            found = from_json(answer.body, list[_FiringAlert])
        except msgspec.DecodeError:
            raise SendFailed("the answer is not from an Alertmanager", permanent=False) from None
        return [alert.labels for alert in found if alert.labels.get("mac") in macs], _date(answer)


class _FiringAlert(msgspec.Struct):
    labels: dict[str, str]


def _date(answer: http.Answer) -> int | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    return round(moment.timestamp()) * SECOND


def _moved_to_past(alert: Alert, now: int | None) -> Alert:
    if now is None:
        return alert
    ends = min(parse_time(alert["endsAt"]), now - SECOND)
    starts = min(parse_time(alert["startsAt"]), ends - SECOND)
    return alert | {"startsAt": format_time(starts), "endsAt": format_time(ends)}


_TIMED_OUT = SendFailed("no answer in time", permanent=False)
