"""The service as its users run it, from a heartbeat to a message in a mailbox."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from influxdb_client import InfluxDBClient
from sqlalchemy import select

from monitor.state.database import open_state, reading
from monitor.state.tables import incident
from tests.influxd.server import InfluxdServer
from tests.receiver import Receiver, receiver
from tests.service import Service
from tests.smtp import Mailbox, mailbox
from tests.waiting import eventually


@contextmanager
def recipients() -> Iterator[tuple[Mailbox, Receiver, dict[str, Any]]]:
    """A mailbox and a webhook receiver, and the settings that point to them."""
    with mailbox() as mail, receiver() as calls:
        yield (
            mail,
            calls,
            {
                "MONITOR_EMAIL_SERVER": "127.0.0.1",
                "MONITOR_EMAIL_PORT": mail.port,
                "MONITOR_EMAIL_SENDER": "monitor@example.org",
                "MONITOR_EMAIL_RECIPIENTS": "night@example.org",
                "MONITOR_WEBHOOK_URL": calls.url,
                "MONITOR_WEBHOOK_ALLOW_INTERNAL": "true",
            },
        )


def simulate(service: Service, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `monitor simulate` against the service until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", "simulate", "--url", service.url, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def incidents(service: Service) -> list[Any]:
    """All incidents, oldest first."""
    engine = open_state(f"sqlite:///{service.directory / 'data' / 'state.sqlite'}")
    with reading(engine) as connection:
        return list(connection.execute(select(incident).order_by(incident.c.id)))


def test_sensor_is_listed_within_a_second_of_its_heartbeat(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.ready()
        for number in range(3):
            mac = f"02:00:00:00:00:0{number}"
            reply = service.beat(mac.upper().replace(":", "-"))
            assert reply["mac_address"] == mac
            shown = eventually(lambda: service.sensors().get(mac))  # noqa: B023
            assert (shown["status"], shown["last_seen"]) == ("up", reply["time"])


def test_influxdb_variables_select_influxdb_and_the_heartbeat_is_stored(
    tmp_path: Path, influxd: InfluxdServer
) -> None:
    variables = {
        "INFLUXDB_V2_URL": influxd.url,
        "INFLUXDB_V2_ORG": influxd.org,
        "INFLUXDB_V2_TOKEN": influxd.token,
    }
    with Service(tmp_path, **variables) as service:
        service.ready()
        reply = service.beat("02:00:00:00:00:07", battery=3.25)
        eventually(lambda: service.sensors().get("02:00:00:00:00:07"))
    query = """from(bucket: "heartbeats") |> range(start: -1h)
        |> filter(fn: (r) => r._measurement == "heartbeat" and r.mac == "02:00:00:00:00:07")"""
    with InfluxDBClient(influxd.url, influxd.token, org=influxd.org) as client:
        records = [record for table in client.query_api().query(query) for record in table.records]
    fields = {record.get_field(): record.get_value() for record in records}
    assert fields["m_battery"] == 3.25
    (stamp,) = {record.get_time() for record in records}
    assert stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z") == reply["time"]
    assert fields["received"] == round(stamp.timestamp() * 1000)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", ["sqlite", "influxdb"])
def test_outage_and_recovery_of_many_sensors_are_one_message_each_per_channel(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    sensors, dead = 200, 10
    timing = {
        "MONITOR_STALENESS_THRESHOLD": 6,
        "MONITOR_STALENESS_SWEEP_INTERVAL": 1,
        "MONITOR_ALERTS_GROUP_WAIT": 6,
    }
    if store == "influxdb":
        influxd = request.getfixturevalue("influxd")
        timing["INFLUXDB_V2_URL"] = influxd.url
        timing["INFLUXDB_V2_ORG"] = influxd.org
        timing["INFLUXDB_V2_TOKEN"] = influxd.token
    with recipients() as (mail, calls, channels):
        with Service(tmp_path, **timing, **channels) as service:
            service.ready()
            fleet = ("--sensors", sensors, "--interval", 2, "--jitter", 0.1, "--seed", 1)
            outages = ("--die", dead / sensors, "--die-after", 6, "--return-after", 24)
            done = simulate(service, *fleet, *outages, "--duration", 45)
            assert done.returncode == 0, done.stdout + done.stderr
            eventually(lambda: len(mail.messages) == 2 and len(calls.requests) == 2, 30)
        rows = incidents(service)
    assert len(rows) == dead
    assert {row.closed_reason for row in rows} == {"recovered"}
    assert len(mail.messages) == 2
    assert len(calls.requests) == 2
    down, recovered = mail.messages
    assert str(dead) in down["Subject"]
    assert str(dead) in recovered["Subject"]
