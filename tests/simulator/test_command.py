import csv
import resource
import signal
import subprocess
import sys
import time
from io import StringIO
from itertools import takewhile
from pathlib import Path

import pytest
from rich.console import Console

from monitor.cli import build_parser
from monitor.model import MINUTE, SECOND, format_mac
from monitor.simulator import command, progress
from monitor.simulator.plan import PlannedHeartbeat, SimulatedFleet, plan
from monitor.simulator.tally import Tally
from tests.ports import free_port
from tests.simulator.conftest import Receiver
from tests.waiting import eventually

FLEET = ("--sensors", "20", "--interval", "0.2", "--duration", "1")
ROOT = Path(__file__).parent.parent.parent


def simulate(*arguments: object) -> int:
    parser = build_parser("simulate")
    return command.run(parser.parse_args(["simulate", *(str(argument) for argument in arguments)]))


def simulate_alone(*arguments: object) -> subprocess.Popen[str]:
    """Run the simulator in a separate process."""
    call = f"simulate(*{tuple(map(str, arguments))})"
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.simulator.test_command import *; sys.exit({call})"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows(path: Path) -> list[tuple[str, str]]:
    with path.open() as file:
        header, *found = csv.reader(file)
    assert header == ["time", "mac_address"]
    return [(moment, mac) for moment, mac in found]


def test_server_receives_the_planned_heartbeats(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--url", receiver.url, *FLEET) == 0
    fleet = SimulatedFleet(sensors=20, interval=200)
    planned = list(takewhile(lambda report: report.moment < SECOND, plan(fleet)))
    expected = [{"mac_address": format_mac(r.mac), **r.metrics} for r in planned]
    received = [sent.body for sent in receiver.received]
    assert sorted(received, key=str) == sorted(expected, key=str)
    assert {sent.path for sent in receiver.received} == {"/heartbeat"}
    output = capsys.readouterr().out
    assert f"{len(planned)} heartbeats in " in output
    assert f"{len(planned)}  status 200" in output
    assert "lateness: half within" in output


def test_no_report_is_sent_before_its_time(receiver: Receiver) -> None:
    began = time.monotonic()
    assert simulate("--url", receiver.url, *FLEET) == 0
    planned = sorted(r.moment for r in plan_of_a_second())
    arrived = sorted(1000 * (sent.moment - began) for sent in receiver.received)
    assert all(real >= due for due, real in zip(planned, arrived, strict=True))


def plan_of_a_second() -> list[PlannedHeartbeat]:
    fleet = SimulatedFleet(sensors=20, interval=200)
    return list(takewhile(lambda report: report.moment < SECOND, plan(fleet)))


def test_connections_are_kept_alive(receiver: Receiver) -> None:
    assert simulate("--url", receiver.url, *FLEET, "--connections", 2) == 0
    assert len({sent.connection for sent in receiver.received}) == 2


def test_closed_connection_is_replaced_by_a_new_one(receiver: Receiver) -> None:
    receiver.close_after_reply = True
    assert simulate("--url", receiver.url, *FLEET, "--connections", 2) == 0
    assert len({sent.connection for sent in receiver.received}) == len(receiver.received)


def test_token_is_read_from_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulate("--url", receiver.url, *FLEET) == 0
    assert {sent.token for sent in receiver.received} == {None}
    receiver.received.clear()
    monkeypatch.setenv("MONITOR_TOKEN", "hbm_secret\n")
    assert simulate("--url", receiver.url, *FLEET) == 0
    assert {sent.token for sent in receiver.received} == {"Bearer hbm_secret"}


def test_records_list_acknowledged_and_sent_heartbeats(receiver: Receiver, tmp_path: Path) -> None:
    acknowledged, sent = tmp_path / "acknowledged.csv", tmp_path / "sent.csv"
    assert simulate("--url", receiver.url, *FLEET, "--record", acknowledged, "--sent", sent) == 0
    assert sorted(rows(acknowledged)) == sorted(receiver.stored)
    assert sorted(mac for _, mac in rows(sent)) == sorted(mac for _, mac in receiver.stored)


def test_heartbeat_with_lost_reply_is_recorded_as_sent_only(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.drop = True
    acknowledged, sent = tmp_path / "acknowledged.csv", tmp_path / "sent.csv"
    assert simulate("--url", receiver.url, *FLEET, "--record", acknowledged, "--sent", sent) == 1
    assert rows(acknowledged) == []
    assert len(rows(sent)) == len(receiver.received)
    assert "Remote end closed connection without response" in capsys.readouterr().out


def test_refusal_appears_in_the_summary_and_the_exit_status(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.status, receiver.reply = 403, {"detail": "ceiling reached"}
    assert simulate("--url", receiver.url, *FLEET) == 1
    assert "status 403" in (output := capsys.readouterr().out)
    assert "ceiling reached" in output


def test_reply_without_stored_time_is_an_error_when_recording(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.reply = {"thanks": 1}
    assert simulate("--url", receiver.url, *FLEET) == 0
    assert simulate("--url", receiver.url, *FLEET, "--record", tmp_path / "all.csv") == 1
    assert "status 200 without the stored time" in capsys.readouterr().out


def test_unreachable_server_appears_in_the_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert simulate("--url", f"http://127.0.0.1:{free_port()}", *FLEET) == 1
    assert "Connection refused" in capsys.readouterr().out


def test_trace_is_replayed_without_its_recorded_times(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text(
        "time,mac_address,speed\n"
        "2017-03-21T05:00:00Z,02:00:00:00:00:01,10.5\n"
        "2017-03-21T05:00:30Z,02:00:00:00:00:02,\n"
    )
    assert simulate("--url", receiver.url, "--trace", file, "--speed", 60) == 0
    first, second = receiver.received
    assert first.body == {"mac_address": "02:00:00:00:00:01", "speed": 10.5}
    assert second.body == {"mac_address": "02:00:00:00:00:02"}
    assert second.moment - first.moment > 0.25


def test_invalid_trace_is_refused_before_anything_is_sent(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text("time,mac_address\n2017-03-21T05:00:00Z,020000000001\nx,020000000001\n")
    assert simulate("--url", receiver.url, "--trace", file) == 2
    assert "fleet.csv, line 3: column time" in capsys.readouterr().err
    assert not receiver.received


def test_fleet_options_are_refused_with_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--trace", tmp_path / "fleet.csv", "--first-mac", "020000000000") == 2
    assert "--first-mac is for a simulated one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "127.0.0.1:8000"),
        ("--interval", "0"),
        ("--interval", "often"),
        ("--die", "1.5"),
        ("--sensors", "1.5"),
        ("--first-mac", "02:00"),
    ],
)
def test_invalid_arguments_are_refused(arguments: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        simulate(*arguments)


def test_run_fails_when_the_record_cannot_be_written(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--url", receiver.url, "--sent", "/dev/full") == 2
    assert "No space left" in capsys.readouterr().err


def test_run_fails_when_the_record_file_reaches_its_size_limit(
    receiver: Receiver, tmp_path: Path
) -> None:
    record = tmp_path / "acknowledged.csv"
    process = simulate_alone("--url", receiver.url, "--interval", 1, "--record", record)
    eventually(lambda: len(receiver.received) > 10)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (record.stat().st_size,) * 2)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "File too large" in errors
    assert "acknowledged" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_run_with_a_summary(
    receiver: Receiver, tmp_path: Path, number: signal.Signals
) -> None:
    record = tmp_path / "acknowledged.csv"
    process = simulate_alone("--url", receiver.url, "--interval", 1, "--record", record)
    eventually(lambda: len(receiver.received) > 10)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"{len(receiver.received)} heartbeats in" in output
    assert sorted(rows(record)) == sorted(receiver.stored)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_on_a_terminal_and_lines_otherwise(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.01)
    monkeypatch.setattr(progress, "_BAR_EVERY", 0.01)
    tally, screen = Tally(), StringIO()
    tally.replied(200, b"", 0.001, 0.001)
    console = Console(file=screen, force_terminal=terminal, width=100)
    with progress.shown(tally, console, 100, "http://localhost"):
        eventually(lambda: "1 sent, 1 acknowledged, 0 not" in screen.getvalue())
    assert ("━" in screen.getvalue()) == terminal
    assert ("of 100 s:" in screen.getvalue()) != terminal


def test_reason_why_nothing_is_acknowledged_is_printed_at_once(receiver: Receiver) -> None:
    receiver.status, receiver.reply = 401, {"title": "a valid token is required"}
    run = simulate_alone("--url", receiver.url, "--interval", "0.1", "--sensors", 1)
    try:
        assert run.stderr is not None
        first = run.stderr.readline()  # the run itself has no end
    finally:
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)
    assert first.startswith(f"nothing is acknowledged by {receiver.url}: status 401")
    assert "a valid token is required" in first
    assert "set MONITOR_TOKEN" in first


def test_server_that_does_not_run_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    simulate("--url", url, "--sensors", 1, "--interval", "0.1s", "--duration", "0.5s")
    assert f"nothing is acknowledged by {url}: Connection refused" in capsys.readouterr().err


def test_no_reason_is_printed_when_heartbeats_are_acknowledged(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--url", receiver.url, *FLEET) == 0
    assert "nothing is acknowledged" not in capsys.readouterr().err


def test_durations_have_units() -> None:
    parser = build_parser("simulate")
    given = parser.parse_args(["simulate", "--duration", "1h30m", "--interval", "5m"])
    assert (given.duration, given.interval) == (90 * MINUTE, 5 * MINUTE)


def test_summary_shows_percentiles() -> None:
    tally = Tally()
    for milliseconds in range(1, 101):
        tally.replied(200, b"", milliseconds / 1000, 0)
    assert "latency: half within 50 ms, 99 % within 99 ms" in tally.summary(1)
