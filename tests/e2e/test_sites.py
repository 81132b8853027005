"""All sensors of several sites go down within a second, another site stays up."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from monitor.model import SECOND, format_mac, parse_time
from tests.service import Service
from tests.smtp import mailbox
from tests.waiting import eventually

SITES, SENSORS = 4, 2_000
THRESHOLD, GROUP_WAIT = 12.0, 5.0
PROMISED = 10.0 + GROUP_WAIT
"""Maximum seconds from a deadline to the arrival of the message."""
MARGIN = 10.0
"""Extra seconds for a busy machine."""


class Mail(NamedTuple):
    """The time of arrival (epoch seconds) and the subject of an email."""

    moment: float
    subject: str


def site(number: int) -> list[int]:
    """The MAC addresses of a site, which share a prefix."""
    first = 0x02_00_00_00_00_00 + (number << 24)
    return list(range(first, first + SENSORS // SITES))


def beat(service: Service, macs: list[int]) -> float:
    """Send one heartbeat of each sensor in one request; the time of receipt (epoch seconds)."""
    answer = requests.post(
        f"{service.url}/heartbeats",
        json=[{"mac_address": format_mac(mac)} for mac in macs],
        timeout=10,
    )
    reply = answer.json()
    assert (answer.status_code, reply["rejected"]) == (200, [])
    return parse_time(reply["received"]) / SECOND


@contextmanager
def alive(service: Service, macs: list[int]) -> Iterator[None]:
    """Keep these sensors reporting."""
    ended = threading.Event()

    def report() -> None:
        while not ended.is_set():
            beat(service, macs)
            ended.wait(THRESHOLD / 4)

    thread = threading.Thread(target=report)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def check(mails: list[Mail], since: float, event: str) -> None:
    """Check that each site got one message in time after an event."""
    delays = [mail.moment - since for mail in mails]
    print(
        f"{len(mails)} messages {min(delays):.1f} to {max(delays):.1f} s after {event} "
        f"(median {statistics.median(delays):.1f}; promised {PROMISED:.0f})"
    )
    for number in range(1, SITES + 1):
        (subject,) = [mail.subject for mail in mails if f"Site {number}" in mail.subject]
        assert f"{SENSORS // SITES}" in subject
    assert max(delays) <= PROMISED + MARGIN


@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", ["sqlite", "influxdb"])
def test_simultaneous_outages_of_sites_are_one_message_per_site(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    variables: dict[str, object] = {
        "MONITOR_STALENESS_THRESHOLD": THRESHOLD,
        "MONITOR_ALERTS_GROUP_WAIT": GROUP_WAIT,
        "MONITOR_ALERTS_GROUP_INTERVAL": 10,
        "MONITOR_ALERTS_SITES": ",".join(f"02:00:0{n}=Site {n}" for n in range(1, SITES + 2)),
        "MONITOR_EMAIL_SERVER": "127.0.0.1",
        "MONITOR_EMAIL_SENDER": "monitor@example.org",
        "MONITOR_EMAIL_RECIPIENTS": "night@example.org",
    }
    if store == "influxdb":
        influxd = request.getfixturevalue("influxd")
        variables["INFLUXDB_V2_URL"] = influxd.url
        variables["INFLUXDB_V2_ORG"] = influxd.org
        variables["INFLUXDB_V2_TOKEN"] = influxd.token
    live = site(SITES + 1)
    silent = [mac for number in range(1, SITES + 1) for mac in site(number)]
    with mailbox() as box:
        moments: list[float] = []

        def delivered() -> str:
            moments.append(time.time())
            return "250 OK"

        def mails() -> list[Mail]:
            return [
                Mail(moment, message["Subject"])
                for moment, message in zip(moments, box.messages, strict=False)
            ]

        box.to_content = delivered
        variables["MONITOR_EMAIL_PORT"] = box.port
        with Service(tmp_path, **variables) as service:
            service.ready()
            with alive(service, live):
                deadline = beat(service, silent) + THRESHOLD
                eventually(lambda: len(mails()) >= SITES, THRESHOLD + PROMISED + MARGIN)
                returned = time.time()
                with alive(service, silent):
                    eventually(lambda: len(mails()) >= 2 * SITES, PROMISED + MARGIN + 10)
    check(mails()[:SITES], deadline, "the deadline")
    check(mails()[SITES:], returned, "the return")
    assert len(mails()) == 2 * SITES
    assert [mail.subject.startswith("Recovered") for mail in mails()] == [False] * SITES + [
        True
    ] * SITES
