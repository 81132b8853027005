"""`monitor incidents`, `acknowledge`, `ledger` and `token`."""

import json

import pytest
from sqlalchemy import Engine, select

from monitor import cli
from monitor.model import MINUTE
from monitor.state.database import reading
from monitor.state.tables import incident
from tests.cases import NOW, Cases


@pytest.fixture
def cases(state: Engine) -> Cases:
    return Cases(state)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run a command; return its standard output, or its standard error if `status` is not 0."""
    capsys.readouterr()
    assert cli.main(list(arguments)) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


def test_incidents_are_listed_and_acknowledged(
    state: Engine, cases: Cases, capsys: pytest.CaptureFixture[str]
) -> None:
    cases.sensor(1, name="Boiler\x1b[2J", site="Harbour")
    group = cases.group()
    closed = cases.incident(1, group, closed_at=NOW + MINUTE, closed_reason="recovered")
    still_open = cases.incident(1, group)
    listed = run(capsys, "incidents")
    assert listed.splitlines() == [
        "ID  SENSOR                                     SILENT SINCE             STATE",
        f"{still_open}   Boiler [2J (00:00:00:00:00:01) at Harbour  2026-11-23 00:51:00 UTC  open",
        f"{closed}   Boiler [2J (00:00:00:00:00:01) at Harbour  "
        "2026-11-23 00:51:00 UTC  recovered 2026-11-23 01:03:00 UTC",
    ]
    (shown,) = map(json.loads, run(capsys, "incidents", "--open", "--json").splitlines())
    assert (shown["id"], shown["site"], shown["state"]) == (still_open, "Harbour", "open")
    assert run(capsys, "acknowledge", str(still_open), "--by", "the night shift") == (
        f"{still_open} is acknowledged\n"
    )
    assert run(capsys, "acknowledge", str(still_open)) == f"{still_open} was already acknowledged\n"
    with reading(state) as connection:
        (by,) = connection.scalars(
            select(incident.c.acknowledged_by).where(incident.c.id == still_open)
        )
    assert by == "the night shift"
    only = run(capsys, "incidents", "--open").splitlines()
    assert len(only) == 2
    assert only[1].endswith("by the night shift")
    error = run(capsys, "acknowledge", str(closed), "999", status=1)
    assert f"incident {closed} is closed" in error
    assert "no incident 999" in error


def test_ledger_shows_sent_and_suppressed_messages(
    cases: Cases, capsys: pytest.CaptureFixture[str]
) -> None:
    group = cases.group()
    number = cases.incident(0xA, group)
    other = cases.incident(0xB, group, closed_at=NOW + MINUTE, closed_reason="recovered")
    tries = [(NOW + 31_000, "retry", "451\nlater"), (NOW + 61_000, "sent", None)]
    cases.message(group, [number], tries, state="sent", finished_at=NOW + 61_000)
    cases.suppress(number, "daily message limit reached (5)", channel="sms")
    assert run(capsys, "ledger", "--incident", str(number)).splitlines() == [
        f"{number}  00:00:00:00:00:0a: open",
        "    2026-11-23 01:02:00 UTC         silent since 2026-11-23 00:51:00 UTC, "
        "longer than its threshold of 10 min",
        "    2026-11-23 01:02:00 UTC  sms    the alert was not sent: "
        "daily message limit reached (5)",
        "    2026-11-23 01:02:30 UTC  email  the alert was written: Boiler silent",
        "    2026-11-23 01:02:31 UTC  email  the alert was not sent and will be tried again "
        "(attempt 1): 451 later",
        "    2026-11-23 01:03:01 UTC  email  the alert was sent (attempt 2)",
        "",
    ]
    documents = run(capsys, "ledger", "--sensor", "0000.0000.000b", "--json").splitlines()
    (document,) = (json.loads(line) for line in documents)
    assert document["incident"]["id"] == other
    everything = run(capsys, "ledger", "--since", "2026-11-23T01:03:01Z", "--json")
    assert [json.loads(line)["incident"]["id"] for line in everything.splitlines()] == [number]
    assert "no incident 999" in run(capsys, "ledger", "--incident", "999", status=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ledger", "--sensor", "nonsense"],
        ["ledger", "--since", "2026-11-23T01:03:01"],
        ["ledger", "--incident", "0"],
        ["ledger", "--incident", "1", "--sensor", "00:00:00:00:00:0a"],
        ["acknowledge"],
        ["acknowledge", str(2**63)],
        ["token", "create", "night", "--role", "king"],
        ["token", "create", "a\nb"],
    ],
)
def test_invalid_arguments_are_usage_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_tokens_are_listed_with_their_role(
    state: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "token", "create", "roof")
    secret = run(capsys, "token", "create", "night", "--role", "operator").strip()
    listed = run(capsys, "token", "list")
    assert secret not in listed
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["NAME", "ROLE"],
        ["roof", "ingest"],
        ["night", "operator"],
    ]
