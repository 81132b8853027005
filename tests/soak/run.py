"""Runs a soak test."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from monitor.model import DAY, SECOND
from monitor.state.database import open_state
from monitor.store.influxdb import InfluxStore
from tests import postgres
from tests.influxd.server import InfluxdServer, require_influxd
from tests.receiver import Receiver, receiver
from tests.service import Service
from tests.smtp import Mailbox, mailbox
from tests.soak import checks
from tests.soak.fleet import Fleet
from tests.soak.plan import ALLOWED, GROUP_WAIT, SWEEP_INTERVAL, THRESHOLD, planned, site_rules
from tests.soak.processes import Processes
from tests.waiting import eventually

_FIRST_KILL = 15.0
_DRAIN = 150.0
"""Seconds for the last heartbeats, recoveries, and the claims of a killed notifier."""
_NAMED = 10
"""The number of violations printed per check."""


@dataclass
class Report:
    """The result of a soak test."""

    directory: Path
    figures: dict[str, object] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)
    """Check -> violations."""

    @property
    def passed(self) -> bool:
        """Whether there are no violations."""
        return not any(self.violations.values())

    def __str__(self) -> str:
        lines = [f"{name:<42} {value}" for name, value in self.figures.items()]
        for name, found in self.violations.items():
            lines.append(f"{name:<42} {'ok' if not found else f'{len(found)} VIOLATIONS'}")
            lines += [f"    {sentence}" for sentence in found[:_NAMED]]
        if not self.passed:
            lines.append(f"logs: {self.directory}")
        return "\n".join(lines)


def run(
    minutes: float,
    seed: int,
    sensors: int = 1_500,
    kill_every: float = 30.0,
) -> Report:
    """Run one soak test with its own servers; a failed run keeps its directory."""
    report = Report(Path(tempfile.mkdtemp(prefix="monitor-soak-")))
    influxd = InfluxdServer(require_influxd(), report.directory / "influxd")
    with influxd, receiver() as hook, mailbox() as box:
        state_url = postgres.fresh_database()
        variables = _variables(influxd, state_url, hook, box, sensors)
        with Service(report.directory, "migrate", **variables) as migration:
            assert migration.process is not None
            assert migration.process.wait(60) == 0, migration.tail()
        processes = Processes(report.directory, variables)
        plan = planned(minutes * 60, sensors, seed)
        with ExitStack() as ending:
            ending.callback(processes.stop)
            processes.start()
            fleet = Fleet(plan, processes.urls, seed)
            began = _now()
            fleet.start()
            ending.callback(fleet.stop)
            _kill(processes, plan.seconds, kill_every, random.Random(f"{seed} kills"))
            _judge(report, fleet, processes, influxd, state_url, hook, box, began)
    report.figures |= {
        "sensors": sensors,
        "seconds of load": round(plan.seconds),
        "planned silences": len(plan.outages),
    }
    return report


def _variables(
    influxd: InfluxdServer, state_url: str, hook: Receiver, box: Mailbox, sensors: int
) -> Mapping[str, object]:
    return {
        "INFLUXDB_V2_URL": influxd.url,
        "INFLUXDB_V2_ORG": influxd.org,
        "INFLUXDB_V2_TOKEN": influxd.token,
        "MONITOR_STATE_URL": state_url,
        "MONITOR_SERVER_SECRET_KEY": "a secret key that both hosts share, for tests",
        "MONITOR_STALENESS_THRESHOLD": THRESHOLD,
        "MONITOR_STALENESS_SWEEP_INTERVAL": SWEEP_INTERVAL,
        "MONITOR_ALERTS_GROUP_WAIT": GROUP_WAIT,
        "MONITOR_ALERTS_GROUP_INTERVAL": 5,
        "MONITOR_ALERTS_SITES": site_rules(sensors),
        "MONITOR_WEBHOOK_URL": hook.url,
        "MONITOR_WEBHOOK_ALLOW_INTERNAL": "true",
        "MONITOR_EMAIL_SERVER": "127.0.0.1",
        "MONITOR_EMAIL_PORT": box.port,
        "MONITOR_EMAIL_SENDER": "monitor@example.org",
        "MONITOR_EMAIL_RECIPIENTS": "night@example.org",
    }


def _kill(
    processes: Processes,
    seconds: float,
    every: float,
    chance: random.Random,
) -> None:
    """Kill processes for the length of the plan."""
    began = time.monotonic()
    due = _FIRST_KILL
    while (elapsed := time.monotonic() - began) < seconds:
        time.sleep(0.1)
        if elapsed >= due:
            print(f"{elapsed:6.0f} s: kill -9 of the {processes.kill_one(chance)}")
            due += every


def _judge(
    report: Report,
    fleet: Fleet,
    processes: Processes,
    influxd: InfluxdServer,
    state_url: str,
    hook: Receiver,
    box: Mailbox,
    began: int,
) -> None:
    engine = open_state(state_url)
    store = InfluxStore(influxd.url, influxd.org, influxd.token, "heartbeats", "arrivals", 90 * DAY)

    def drained() -> bool:
        """Whether no incident is open and no message pending."""
        still = [row for row in checks.incidents(engine) if row.closed_at is None]
        return not still and not checks.unsent(engine)

    # The sensors must keep reporting: a fleet that stops is an outage.
    report.violations["all is delivered in time"] = list(_late(drained, "open or unsent"))
    accepted = {mac: list(beats) for mac, beats in fleet.accepted.items()}
    times = {(mac, beat.time) for mac, beats in accepted.items() for beat in beats}

    def stored() -> set[checks.Beat]:
        return {(beat.mac, beat.time) for beat in store.heartbeats(accepted, began, _now())}

    report.violations["all is stored in time"] = list(
        _late(lambda: stored() >= times, "not stored")
    )
    found, rows = checks.incidents(engine), checks.messages(engine)
    silent, webhook = checks.silences(fleet.accepted), checks.reported(hook.requests)
    mailed = checks.emailed(box)
    report.violations |= {
        "a 2xx is stored, and nothing else": list(checks.unstored(accepted, stored(), fleet.tried)),
        "no false alert": list(checks.false_alerts(found, webhook, silent)),
        "none missed": list(checks.missed(found, silent, webhook, rows, mailed)),
        "none sent twice under different keys": list(checks.duplicates(rows, hook.requests, box)),
        "no traceback in a log": processes.tracebacks(),
    }
    long = [one for one in silent if one.until.sent - one.since.answered >= ALLOWED * SECOND]
    delays = sorted(row.opened_at - row.last_seen for row in found)
    report.figures |= {
        "heartbeats accepted": len(times),
        "sent again": fleet.repetitions,
        "no more attempts": fleet.given_up,
        "kills": ", ".join(f"{count} {name}" for name, count in sorted(processes.kills.items())),
        "restarts": processes.restarts,
        "silences longer than the threshold": len(silent),
        f"silences longer than {ALLOWED:.0f} s": len(long),
        "incidents": len(found),
        "from last seen to opened, most (s)": max(delays, default=0) / SECOND,
        "webhook calls, keys": f"{len(hook.requests)}, {len(_keys(hook))}",
        "emails, keys": f"{len(box.messages)}, {len(mailed)}",
        "kinds at the webhook": dict(Counter(one.kind for one in webhook)),
        "memory (MB PSS)": {name: round(size) for name, size in processes.memory().items()},
    }
    store.close()
    engine.dispose()


def _late(done: Callable[[], bool], state: str) -> Iterator[str]:
    try:
        eventually(done, _DRAIN, every=2.0)
    except AssertionError:
        yield f"something was still {state} after {_DRAIN:.0f} s"


def _keys(hook: Receiver) -> set[str]:
    return {request.headers["Idempotency-Key"] for request in hook.requests}


def _now() -> int:
    return time.time_ns() // 1_000_000
