"""`monitor export`."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor import cli
from monitor.ingest import parse
from monitor.model import DAY, HOUR, MINUTE, Heartbeat, format_time
from monitor.state import sensors
from monitor.state.database import writing
from monitor.store.sqlite import SqliteStore
from tests.store.beats import NOW


@pytest.fixture(autouse=True)
def _beats(tmp_path: Path, state: Engine) -> None:
    """Three sensors, two of them at site Harbour, each with one heartbeat."""
    with writing(state) as connection:
        for mac, site in ((1, "Harbour"), (2, "Harbour"), (3, None)):
            sensors.configure(connection, mac, 1, site=site)
    store = SqliteStore(tmp_path / "heartbeats.sqlite", 90 * DAY, writable=True)
    store.migrate()
    store.append(
        [
            Heartbeat(1, NOW, NOW, True, {"battery": 3.5, "load": 0.1}),
            Heartbeat(2, NOW + MINUTE, NOW + HOUR, False, {"load": 1e-07}),
            Heartbeat(3, NOW + 2 * MINUTE, NOW + 2 * MINUTE),
        ]
    )
    store.close()


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    capsys.readouterr()
    assert cli.main(["export", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_csv_has_all_heartbeats(capsys: pytest.CaptureFixture[str]) -> None:
    at = [format_time(NOW + n * MINUTE) for n in range(3)]
    assert exported(capsys) == [
        "time,mac_address,received,live,battery,load",
        f"{at[0]},00:00:00:00:00:01,{at[0]},true,3.5,0.1",
        f"{at[1]},00:00:00:00:00:02,{format_time(NOW + HOUR)},false,,1e-07",
        f"{at[2]},00:00:00:00:00:03,{at[2]},true,,",
    ]


def test_options_select_sensors_sites_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    def macs(*arguments: str) -> list[str]:
        return [line.split(",")[1][-2:] for line in exported(capsys, *arguments)[1:]]

    assert macs("--site", "Harbour") == ["01", "02"]
    assert macs("--sensor", "0000.0000.0003", "--sensor", "00-00-00-00-00-01") == ["01", "03"]
    assert macs("--site", "Harbour", "--sensor", "000000000003") == ["01", "02", "03"]
    second = format_time(NOW + MINUTE)
    assert macs("--from", second) == ["02", "03"]
    assert macs("--to", second) == ["01"]


def test_ndjson_is_accepted_as_heartbeats(capsys: pytest.CaptureFixture[str]) -> None:
    lines = exported(capsys, "--format", "ndjson")
    assert json.loads(lines[0]) == {
        "mac_address": "00:00:00:00:00:01",
        "time": format_time(NOW),
        "battery": 3.5,
        "load": 0.1,
    }
    batch = parse.lines("\n".join(lines).encode(), parse.AcceptedTimes(0, NOW + DAY), 10)
    assert batch.unusable == []
    assert [(report.mac, report.time) for report in batch.reports] == [
        (1, NOW),
        (2, NOW + MINUTE),
        (3, NOW + 2 * MINUTE),
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--site", "Hrabour"], "no sensor is at Hrabour"),
        (["--from", "2026-11-23T03:42:00Z", "--to", "2026-11-23T03:42:00Z"], "must be earlier"),
    ],
)
def test_selection_without_sensors_or_time_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    assert cli.main(["export", *arguments]) == 1
    assert error in capsys.readouterr().err
