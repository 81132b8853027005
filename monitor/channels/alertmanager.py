"""Prometheus Alertmanager (API v2), for those who group, route and silence there already.

It forgets its alerts when it restarts, and those that are not sent again. So the notifier sends
all that stands each minute, as Prometheus does, with an end some minutes ahead: an alert whose end
could not be delivered expires. An alert stands until its incident is closed, acknowledged or
silenced here or not: Alertmanager has silences of its own.

Several that work together (high availability) share what they sent, but not their alerts: each is
sent all of them. A message counts as accepted once one of them took all of it; one that was away
has it within a minute of its return.
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
"""Alerts in one POST: well below the 1 MB that proxies often allow."""

_ASKED = 20
"""Sensors in one query: of an answer only the beginning is read."""

_PATIENCE = 25
"""Seconds for all of them together."""

_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is known of them."""

    urls: list[str]
    """Of their start pages."""
    username: str = ""
    """For a door that wants a password."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For those behind a door; one of them at most."""

    password: str = ""
    bearer_token: str = ""


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Alertmanager":
    """The channel. Raises ValueError, which names no secret."""
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
    """One or more Alertmanagers that are all told the same."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        headers: Mapping[str, str],
        allow_internal: bool = False,
    ) -> None:
        """`urls` are those of their start pages; `headers` open the door, if it is closed."""
        self.name = name
        self._urls = [url.rstrip("/") for url in urls]
        self._headers, self._allow_internal = dict(headers), allow_internal

    def send(self, message: Message) -> None:
        """Accepted by at least one, or SendFailed: permanent only if all refused for good."""
        threads, now = ThreadPoolExecutor(len(self._urls)), Clock().now()
        told = [threads.submit(self._tell, url, message, now) for url in self._urls]
        wait(told, _PATIENCE)
        threads.shutdown(wait=False, cancel_futures=True)
        failures = []
        for number, each in enumerate(told, 1):
            failure = each.exception() if each.done() else _LATE
            if failure is None:
                continue
            if not isinstance(failure, SendFailed):
                raise failure
            failures.append(failure)
            _log.warning("%s: Alertmanager %d of %d: %s", self.name, number, len(told), failure)
        if len(failures) == len(told):
            wishes = [failure.retry_after for failure in failures if failure.retry_after]
            raise SendFailed(
                "; ".join(sorted({failure.detail for failure in failures})),
                permanent=all(failure.permanent for failure in failures),
                retry_after=min(wishes, default=None),
            )

    def _tell(self, url: str, message: Message, now: int) -> None:
        content = alerts.alerts(message, now)
        if message.kind == "recovered":
            content = self._ended(url, content)
        headers = {"Content-Type": "application/json", **self._headers}
        for start in range(0, len(content), _BATCH):
            body = json.dumps(content[start : start + _BATCH]).encode()
            http.post(f"{url}/api/v2/alerts", body, headers, self._allow_internal)

    def _ended(self, url: str, content: Sequence[Alert]) -> list[Alert]:
        """The ends of these alerts, also of those told of under labels the sensor had then.

        By the receiver's clock they are in the past: it would ignore an end yet to come.
        """
        ended = []
        for start in range(0, len(content), _ASKED):
            part = {alert["labels"]["mac"]: alert for alert in content[start : start + _ASKED]}
            held, now = self._held(url, list(part))
            known = [part[labels["mac"]] | {"labels": labels} for labels in held]
            new = [alert for alert in part.values() if alert["labels"] not in held]
            ended += [_past(alert, now) for alert in known + new]
        return ended

    def _held(self, url: str, macs: Sequence[str]) -> tuple[list[dict[str, str]], int | None]:
        """Labels of the silences of these sensors that it holds, and its time (ms) if it says."""
        filters = (f'alertname="{alerts.SILENT}"', f'mac=~"{"|".join(macs)}"')
        query = urlencode([("filter", each) for each in filters])
        try:
            answer = http.get(f"{url}/api/v2/alerts?{query}", self._headers, self._allow_internal)
        except SendFailed as refused:
            if not refused.permanent:
                raise
            return [], None  # one that lets us write and not read
        try:
            found = from_json(answer.body, list[_Held])
        except msgspec.DecodeError:
            raise SendFailed("the answer is not from an Alertmanager", permanent=False) from None
        return [alert.labels for alert in found if alert.labels.get("mac") in macs], _date(answer)


class _Held(msgspec.Struct):
    labels: dict[str, str]


def _date(answer: http.Answer) -> int | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    return round(moment.timestamp()) * SECOND


def _past(alert: Alert, now: int | None) -> Alert:
    if now is None:
        return alert
    ends = min(parse_time(alert["endsAt"]), now - SECOND)
    starts = min(parse_time(alert["startsAt"]), ends - SECOND)
    return alert | {"startsAt": format_time(starts), "endsAt": format_time(ends)}


_LATE = SendFailed("no answer in time", permanent=False)
