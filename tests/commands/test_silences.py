"""`monitor silence` and `monitor maintenance`."""

import json
import re

import pytest
from freezegun import freeze_time
from sqlalchemy import Engine

from monitor import cli

MARCH = "2026-03-20T12:00:00Z"
PAINT = (
    *("maintenance", "add", "paint", "--match", "site=Hall", "--zone", "Europe/Berlin"),
    *("--start", "2026-03-22T01:30", "--stop", "2026-03-22T03:30"),
)


@pytest.fixture(autouse=True)
def _user(state: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run a command; return its standard output, or its standard error if `status` is not 0."""
    capsys.readouterr()
    with freeze_time(MARCH):
        assert cli.main(list(arguments)) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


def test_silence_is_added_listed_and_ended(capsys: pytest.CaptureFixture[str]) -> None:
    add = ("silence", "add", "--match", "site=Hall", "--match", "mac!=02:*", "--comment")
    assert run(capsys, *add, "new\tswitch", "--for", "1d12h") == (
        "silence 1 lasts until 2026-03-22 00:00:00 UTC\n"
    )
    times = ("--from", "2026-03-21T00:00:00+01:00", "--until", "2026-03-21T01:00:00+01:00")
    run(capsys, *add, "later", *times)
    assert run(capsys, "silence", "list").splitlines() == [
        "ID  STATE     SENSORS               FROM                     UNTIL                    "
        "BY    COMMENT",
        "1   current   site=Hall, mac!=02:*  2026-03-20 12:00:00 UTC  2026-03-22 00:00:00 UTC  "
        "anna  new switch",
        "2   upcoming  site=Hall, mac!=02:*  2026-03-20 23:00:00 UTC  2026-03-21 00:00:00 UTC  "
        "anna  later",
    ]
    first, _ = map(json.loads, run(capsys, "silence", "list", "--json").splitlines())
    assert (first["id"], first["state"], first["comment"]) == (1, "current", "new\tswitch")
    assert run(capsys, "silence", "end", "1") == "silence 1 has ended\n"
    assert "has already ended" in run(capsys, "silence", "end", "1", status=1)
    assert run(capsys, "silence", "list").splitlines()[1].startswith("2   upcoming  ")
    assert run(capsys, "silence", "list", "--past").splitlines()[1].startswith("1   past  ")


def test_maintenance_is_planned_and_shown_in_its_zone_and_in_utc(
    capsys: pytest.CaptureFixture[str],
) -> None:
    windows = [
        "    2026-03-22 01:30 CET to 2026-03-22 03:30 CET  "
        "(2026-03-22 00:30 UTC to 2026-03-22 02:30 UTC)",
        "    2026-03-29 01:30 CET to 2026-03-29 03:30 CEST  "
        "(2026-03-29 00:30 UTC to 2026-03-29 01:30 UTC)",
        "    2026-04-05 01:30 CEST to 2026-04-05 03:30 CEST  "
        "(2026-04-04 23:30 UTC to 2026-04-05 01:30 UTC)",
    ]
    planned = run(capsys, *PAINT, "--recurrence", "FREQ=WEEKLY;BYDAY=SU")
    assert planned.splitlines() == ["maintenance 1 is scheduled", *windows]
    assert run(capsys, "maintenance", "list").splitlines() == [
        "ID  STATE     NAME   SENSORS    RECURRENCE            "
        "NEXT WINDOW                                   BY",
        "1   upcoming  paint  site=Hall  FREQ=WEEKLY;BYDAY=SU  "
        "2026-03-22 01:30 CET to 2026-03-22 03:30 CET  anna",
    ]
    shown = json.loads(run(capsys, "maintenance", "list", "--json"))
    assert (shown["name"], shown["zone"], len(shown["windows"])) == ("paint", "Europe/Berlin", 3)
    assert run(capsys, "maintenance", "end", "1") == "maintenance 1 has ended\n"
    assert "has already ended" in run(capsys, "maintenance", "end", "1", status=1)
    assert len(run(capsys, "maintenance", "list").splitlines()) == 1
    assert (
        run(capsys, "maintenance", "list", "--past").splitlines()[1].startswith("1   past   paint")
    )


def test_maintenance_names_the_months_that_it_skips(capsys: pytest.CaptureFixture[str]) -> None:
    monthly = (*PAINT[:-4], "--start", "2026-03-31T01:30", "--stop", "2026-03-31T03:30")
    planned = run(capsys, *monthly, "--recurrence", "FREQ=MONTHLY")
    skipped = "    skips months without this day: 2026-04, 2026-06, 2026-09"
    assert planned.splitlines()[-1] == skipped
    listed = run(capsys, "maintenance", "list").splitlines()[-1]
    assert "FREQ=MONTHLY (skips 2026-04, 2026-06, 2026-09)" in listed


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("silence", "add", "--match", "site", "--for", "4h", "--comment", "x"), "--match: 'site'"),
        (
            (
                "silence",
                "add",
                "--match",
                "mac=*",
                "--until",
                "2026-01-01T00:00Z",
                "--comment",
                "x",
            ),
            "--for or --until: must be in the future",
        ),
        (
            ("silence", "add", "--match", "mac=*", "--for", "4h", "--comment", ""),
            "--comment: is required",
        ),
        ((*PAINT, "--recurrence", "FREQ=HOURLY"), "--recurrence: FREQ=HOURLY is not supported"),
        (
            (*PAINT, "--zone", "Berlin"),
            "--zone: must be a time zone such as Europe/Berlin, not 'Berlin'",
        ),
        ((*PAINT, "--stop", "2026-03-01T00:00"), "--stop: must be after the start"),
    ],
)
def test_invalid_arguments_are_refused_with_the_option(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], error: str
) -> None:
    assert error in run(capsys, *arguments, status=1)


@pytest.mark.parametrize("duration", ["4", "h", "-4h", "4 weeks", ""])
def test_duration_needs_units(capsys: pytest.CaptureFixture[str], duration: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["silence", "add", "--match", "mac=*", f"--for={duration}", "--comment", "x"])
    assert re.search("must be like 90s, 5m, 4h or 1d12h", capsys.readouterr().err)
