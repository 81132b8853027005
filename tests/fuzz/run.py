"""Runs the fuzz test."""

import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests import postgres
from tests.fuzz.memory import Memory, Trend
from tests.fuzz.mutations import mutate
from tests.fuzz.request import Answer, Request, send
from tests.fuzz.target import Target
from tests.fuzz.valid import ENDING, Entry, entries
from tests.influxd.server import InfluxdServer, require_influxd
from tests.receiver import receiver
from tests.waiting import eventually
from tests.web.complete_app import INGEST_TOKEN

_THREADS = 4
_VALID_SHARE, _ELSE_SHARE = 0.1, 0.1
_RENEW_EVERY = 200
GROWTH = 0.05
"""The share by which the memory of a process may grow in the second half of a long run."""
_NAMED = 20
_REFUSALS = (501, 503, 505)
"""Statuses from 500 on that are not failures: also an unknown method and an unknown version."""


@dataclass
class Report:
    """The result of a fuzz run."""

    directory: Path
    seed: int
    requests: int
    seconds: float = 0.0
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Entry -> count of each status."""
    failures: list[str] = field(default_factory=list)
    memory: list[Trend] = field(default_factory=list)
    """The memory trend of each process in the second half."""

    def __str__(self) -> str:
        total: Counter[int] = sum(self.statuses.values(), Counter())
        lines = [f"{self.requests} requests in {self.seconds:.0f} s, seed {self.seed}"]
        lines.append(
            ", ".join(f"{count} x {status or 'none'}" for status, count in sorted(total.items()))
        )
        lines += map(str, self.memory)
        lines += self.failures[:_NAMED]
        if self.failures:
            lines.append(f"{len(self.failures)} FAILURES; cases and logs: {self.directory}")
        return "\n".join(lines)


class Fuzz:
    """Generates requests: the same seed and number give the same request."""

    def __init__(self, target: Target, report: Report) -> None:
        self._target, self._report = target, report
        self._entries = list(entries(target))
        self._lock, self._read = threading.Lock(), 0
        self._granted: set[str] = set()
        self._refused: dict[str, str] = {}

    def case(self, number: int) -> None:
        """Send one request and check the answer."""
        chance = random.Random(f"{self._report.seed} {number}")
        entry = self._entries[number % len(self._entries)]
        valid = number < len(self._entries) or chance.random() < _VALID_SHARE
        regularly = number % _RENEW_EVERY == 0
        if regularly or (valid and entry.method != "GET"):
            self._target.renew(sessions=regularly or entry.rule in ENDING)
        request = entry.make(self._target, chance)
        if not valid:
            self._impersonate(entry, request, chance)
            mutate(request, chance)
        answer = send(self._target.service.port, request)
        self._look(number, entry, request, answer, valid)

    def _impersonate(self, entry: Entry, request: Request, chance: random.Random) -> None:
        """Sometimes send the request as another user."""
        if chance.random() > _ELSE_SHARE or entry.rule in ENDING:
            return
        name = chance.choice(("viewer", "operator"))
        bearer = chance.choice((self._target.bearers[name], "forged", INGEST_TOKEN))
        cookie = chance.choice((self._target.sessions[name].cookie, "monitor=forged", ""))
        request.replace(b"Authorization", b"Bearer " + bearer.encode())
        request.replace(b"Cookie", cookie.encode())

    def _look(
        self, number: int, entry: Entry, request: Request, answer: Answer, valid: bool
    ) -> None:
        with self._lock:
            self._report.statuses[str(entry)][answer.status] += 1
            if valid and 200 <= answer.status < 400:
                self._granted.add(str(entry))
            elif valid:
                self._refused[str(entry)] = (
                    f"{answer.status} {answer.trouble} {answer.body[:300]!r}"
                )
            trouble = _trouble(request, answer, valid)
            if trouble:
                self._fail(number, entry, request, trouble)
            self._read_log(number, entry, request)

    def _fail(self, number: int, entry: Entry, request: Request, trouble: str) -> None:
        file = self._report.directory / f"case-{number}"
        file.write_bytes(request.raw())
        self._report.failures.append(
            f"case {number} (seed {self._report.seed}), {entry}: {trouble}; sent: {file}"
        )

    def _read_log(self, number: int, entry: Entry, request: Request) -> None:
        log = self._target.service.log
        size = log.stat().st_size
        if size == self._read:
            return
        with log.open("rb") as lines:
            lines.seek(self._read)
            text = lines.read().decode("utf-8", "replace")
        self._read = size
        if "Traceback" in text:
            last = text.strip().splitlines()[-1]
            self._fail(number, entry, request, f"a traceback in the log, about then: {last}")

    def never_granted(self) -> list[str]:
        """Entries whose unmodified request was always refused, with the last answer."""
        return [
            f"{entry} was never granted: {self._refused.get(entry, 'never asked')}"
            for entry in sorted({str(entry) for entry in self._entries} - self._granted)
        ]


def _trouble(request: Request, answer: Answer, valid: bool) -> str:
    if answer.status == 503:
        sentence = len(answer.body) > 10 or request.method == b"HEAD"
        complete = answer.headers.get("retry-after") and sentence
        return "" if complete else f"503 without Retry-After or a sentence: {answer.body[:200]!r}"
    for status in (answer.status, *answer.others):
        if status >= 500 and status not in _REFUSALS:
            return f"{status} {answer.body[:200]!r}"
    if answer.trouble == "no answer in time" or (valid and not answer.status):
        return answer.trouble
    return ""


def run(count: int, seed: int, growth: float = GROWTH, servers: bool = False) -> Report:
    """Send `count` requests to a service on SQLite, or on InfluxDB and PostgreSQL.
    `growth`: the maximum memory growth in the second half, as a share."""
    report = Report(Path(tempfile.mkdtemp(prefix="monitor-fuzz-")), seed, count)
    with ExitStack() as stack:
        hook = stack.enter_context(receiver())
        target = Target(report.directory, hook, **(_servers(report, stack) if servers else {}))
        stack.enter_context(target.service)
        target.service.ready()
        target.renew()
        fuzz = Fuzz(target, report)
        before = [process.pid for process in target.service.family()]
        began = time.monotonic()
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fuzz.case, range(count // 2)))
            print(f"{count // 2} requests after {time.monotonic() - began:.0f} s")
            with Memory(target.service) as memory:
                list(pool.map(fuzz.case, range(count // 2, count)))
        report.seconds, report.memory = time.monotonic() - began, memory.trends()
        target.renew()
        after = [process.pid for process in target.service.family()]
        if after != before:
            report.failures.append(f"processes died or were added: {before} -> {after}")
        report.failures += [
            f"memory grew in the second half: {trend}"
            for trend in report.memory
            if trend.growth > growth
        ]
        report.failures += fuzz.never_granted()
        _still_works(target, report)
    tracebacks = target.service.log.read_text("utf-8", "replace").count("Traceback")
    if tracebacks:
        report.failures.append(f"{tracebacks} tracebacks in {target.service.log}")
    return report


def _servers(report: Report, stack: ExitStack) -> Mapping[str, object]:
    influxd = InfluxdServer(require_influxd(), report.directory / "influxd")
    stack.enter_context(influxd)
    return {
        "INFLUXDB_V2_URL": influxd.url,
        "INFLUXDB_V2_ORG": influxd.org,
        "INFLUXDB_V2_TOKEN": influxd.token,
        "MONITOR_STATE_URL": postgres.fresh_database(),
    }


def _still_works(target: Target, report: Report) -> None:
    """Check that a heartbeat is stored and its sensor has a page."""
    url, mac = target.service.url, "02:00:00:00:01:00"
    sent = requests.post(
        f"{url}/heartbeat",
        json={"mac_address": mac},
        headers={"Authorization": f"Bearer {INGEST_TOKEN}"},
        timeout=30,
    )
    if sent.status_code != 200:
        report.failures.append(f"the last heartbeat was refused: {sent.status_code} {sent.text}")
        return
    received = sent.json()["time"]
    bearer = {"Authorization": f"Bearer {target.bearers['viewer']}"}

    def stored() -> bool:
        answer = requests.get(f"{url}/api/v1/sensors/{mac}/heartbeats", headers=bearer, timeout=30)
        return answer.status_code == 200 and received in answer.text

    try:
        eventually(stored, 30)
    except AssertionError:
        report.failures.append("the last heartbeat was not stored within 30 s")
    cookie = {"Cookie": target.sessions["viewer"].cookie, "Accept": "text/html"}
    page = requests.get(f"{url}/sensors/{mac}", headers=cookie, timeout=30)
    if page.status_code != 200:
        report.failures.append(f"the sensor's page answers {page.status_code} at the end")
