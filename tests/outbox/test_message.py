"""The texts and bodies of messages."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import DAY, HOUR, MINUTE, SECOND, Member, MessageContext, parse_time
from monitor.outbox import wording
from monitor.outbox.message import LISTED_IN_DATA, Frame, compose, compose_notice, compose_test
from monitor.refusal import REASONS, UNAUTHORIZED
from monitor.staleness.blindness import BlindWindow
from monitor.staleness.notices import Behind, Notices, SentNotices, behind_text, blind_text
from tests.time_formats import ZONES, other_formats

TIME = parse_time("2026-11-23T14:13:20Z")
URL = "https://monitor.example.org"


def member(mac: int = 1, **changes: Any) -> Member:
    values: dict[str, Any] = {
        "name": None,
        "site": "Site X",
        "last_seen": TIME - 10 * MINUTE - 5 * SECOND,
        "threshold": 10 * MINUTE,
        "proven": True,
        "opened_at": TIME - 30 * SECOND,
        "recovered_at": None,
    }
    return Member(mac=mac, **(values | changes))


def down(*members: Member, **changes: Any) -> dict[str, Any]:
    return _composed("down", members, changes)


def recovered(*members: Member, **changes: Any) -> dict[str, Any]:
    back = [entry._replace(recovered_at=TIME - 30 * SECOND) for entry in members]
    return _composed("recovered", back, {"silent": 0} | changes)


def _composed(kind: str, members: Any, changes: dict[str, Any]) -> dict[str, Any]:
    acknowledge = changes.pop("acknowledge", None)
    return compose(_context(kind, members, changes), Frame(URL, UTC), acknowledge)


def _context(kind: str, members: Any, changes: dict[str, Any]) -> MessageContext:
    options: dict[str, Any] = {
        "silent": len(members),
        "site": "Site X",
        "neighbours": 230,
        "neighbours_silent": len(members),
        "escalated": False,
        "fleet_wide": False,
    }
    return MessageContext(
        notification=7,
        channel="email",
        kind=kind,
        time=TIME,
        thread="thread",
        members=list(members),
        **(options | changes),
    )


def test_subject_about_several_sensors_has_number_site_and_time() -> None:
    body = down(*(member(mac) for mac in range(12)))
    assert body["subject"] == "12 of 230 sensors at Site X silent since 2026-11-23 14:03:15 UTC"


def test_subject_about_one_sensor_has_its_name() -> None:
    body = down(member(name="Boiler room"))
    assert body["subject"] == "Boiler room at Site X silent since 2026-11-23 14:03:15 UTC"


def test_sensor_without_name_is_shown_by_its_address() -> None:
    body = down(member(0x020000000001, site=None), site=None, neighbours=None)
    assert body["subject"] == "02:00:00:00:00:01 silent since 2026-11-23 14:03:15 UTC"


def test_subject_has_the_number_of_sites_if_there_are_several() -> None:
    body = down(member(1, site="A"), member(2, site="B"), site=None, neighbours=None)
    assert body["subject"] == "2 sensors at 2 sites silent since 2026-11-23 14:03:15 UTC"
    assert "00:00:00:00:00:01 at A: last seen" in body["text"]


def test_subject_states_that_all_sensors_of_a_site_are_silent() -> None:
    body = down(member(1), member(2), neighbours=2)
    assert body["subject"] == "All 2 sensors at Site X silent since 2026-11-23 14:03:15 UTC"


def test_later_message_has_the_number_of_new_and_of_all_silent_sensors() -> None:
    body = down(member(1), member(2), silent=15)
    assert (
        body["subject"]
        == "2 more sensors at Site X silent since 2026-11-23 14:03:15 UTC, 15 of 230 in all"
    )
    body = down(member(1, name="Boiler room"), silent=15)
    assert (
        body["subject"]
        == "Boiler room at Site X silent since 2026-11-23 14:03:15 UTC, 15 of 230 in all"
    )


def test_subject_states_presumed_down_if_no_outage_is_proven() -> None:
    body = down(member(proven=False))
    assert "presumed down, silent since" in body["subject"]
    assert "presumed down, because monitoring was blind during the silence" in body["text"]
    mixed = down(member(1, proven=False), member(2))
    assert "presumed" not in mixed["subject"]
    assert mixed["text"].count("presumed") == 1


def test_text_of_a_down_message_has_last_seen_and_threshold() -> None:
    body = down(member(0x020000000001, name="Boiler room"), member(0x020000000002))
    assert body["text"] == (
        "2 of 230 sensors at Site X silent since 2026-11-23 14:03:15 UTC.\n"
        "\n"
        "- Boiler room (02:00:00:00:00:01): last seen 2026-11-23 14:03:15 UTC, 10 min 5 s before "
        "this message (threshold 10 min)\n"
        "- 02:00:00:00:00:02: last seen 2026-11-23 14:03:15 UTC, 10 min 5 s before this message "
        "(threshold 10 min)\n"
        "\n"
        "2 of 230 sensors at Site X are silent.\n"
        "\n"
        "Written 2026-11-23 14:13:20 UTC. Details: https://monitor.example.org/\n"
    )


def test_text_of_a_recovered_message_has_the_duration() -> None:
    body = recovered(member(0x020000000001, name="Boiler room"))
    assert body["subject"] == "Recovered: Boiler room at Site X, silent for 9 min 35 s"
    assert (
        "- Boiler room (02:00:00:00:00:01): silent for 9 min 35 s, from 2026-11-23 14:03:15 UTC "
        "to 2026-11-23 14:12:50 UTC\n"
    ) in body["text"]


def test_recovered_message_has_the_number_still_silent() -> None:
    body = recovered(member(1), member(2, last_seen=TIME - 2 * HOUR), silent=3)
    assert body["subject"] == (
        "Recovered: 2 sensors at Site X, silent for up to 1 h 59 min; 3 still silent"
    )


def test_long_lists_are_shortened_and_state_the_rest() -> None:
    body = down(*(member(mac) for mac in range(50)), silent=50)
    assert body["text"].count("last seen") == 10
    assert "- and 40 more\n" in body["text"]
    body = down(*(member(mac) for mac in range(LISTED_IN_DATA + 5)))
    assert (body["count"], len(body["members"])) == (1005, 1000)


def test_body_has_all_fields_for_programs() -> None:
    body = recovered(member(0x020000000001, name="Boiler room"))
    assert {
        key: body[key] for key in ("kind", "time", "site", "neighbours", "silent", "count")
    } == {
        "kind": "recovered",
        "time": "2026-11-23T14:13:20.000Z",
        "site": "Site X",
        "neighbours": 230,
        "silent": 0,
        "count": 1,
    }
    assert body["members"] == [
        {
            "mac": "02:00:00:00:00:01",
            "name": "Boiler room",
            "site": "Site X",
            "labels": {},
            "last_seen": "2026-11-23T14:03:15.000Z",
            "threshold_seconds": 600.0,
            "usual_interval_seconds": None,
            "proven": True,
            "interruptions": 0,
            "opened_at": "2026-11-23T14:12:50.000Z",
            "recovered_at": "2026-11-23T14:12:50.000Z",
            "refused_at": None,
            "refused_for": None,
        }
    ]


def test_test_message_states_that_it_is_one() -> None:
    body = compose_test(TIME, Frame(URL, UTC))
    assert (body["kind"], body["members"]) == ("test", [])
    assert body["subject"].startswith("Test message")
    assert body.keys() == down(member()).keys()


def test_long_names_and_line_breaks_are_cleaned() -> None:
    body = down(member(name="x" * 200, site="Site\r\nBcc: y"), site="Site\r\nBcc: y")
    assert len(body["subject"]) < 160
    assert "…" in body["subject"]
    assert "Site Bcc: y" in body["subject"]


@pytest.mark.parametrize("name", ["", " ", "\n", "\u202e", "\x00"])
def test_invisible_name_is_replaced_by_the_address(name: str) -> None:
    assert down(member(1, name=name))["subject"].startswith("00:00:00:00:00:01 at Site X")


moments = st.integers(0, 4_000_000_000_000)
members = st.builds(
    Member,
    mac=st.integers(0, 2**48 - 1),
    name=st.none() | st.text(max_size=200),
    site=st.none() | st.text(max_size=200),
    last_seen=moments,
    threshold=st.integers(1, 10**10),
    proven=st.booleans(),
    opened_at=moments,
    recovered_at=st.none() | moments,
    refused_at=st.none() | moments,
    refused_for=st.none() | st.sampled_from([*REASONS]),
    labels=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=2),
    usual_interval=st.none() | st.integers(1, 10**10),
)


contexts = st.builds(
    MessageContext,
    notification=st.just(7),
    channel=st.just("email"),
    kind=st.sampled_from(["down", "recovered", "reminder", "flapping"]),
    time=moments,
    thread=st.just("thread"),
    escalated=st.booleans(),
    members=st.lists(members, min_size=1, max_size=13),
    silent=st.integers(0, 300),
    fleet_wide=st.booleans(),
    site=st.none() | st.text(max_size=200),
    neighbours=st.none() | st.integers(0, 300),
    neighbours_silent=st.integers(0, 300),
)


@given(contexts, st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]))
def test_subject_is_one_line_and_body_is_json_for_any_names_and_times(
    context: MessageContext, zone: str
) -> None:
    frame = Frame(URL, ZoneInfo(zone))
    body = compose(context, frame)
    assert body["subject"].isprintable()
    assert len(body["subject"]) < 250
    assert json.loads(json.dumps(body)) == body
    assert body == compose(context, frame)


@given(contexts, st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]))
def test_all_times_of_a_message_have_one_format_and_one_zone(
    context: MessageContext, zone: str
) -> None:
    members = [each._replace(name="Boiler", site="Hall A") for each in context.members]
    body = compose(context._replace(members=members, site=None), Frame(URL, ZoneInfo(zone)))
    assert not other_formats(body["subject"] + "\n" + body["text"])
    assert set(ZONES.findall(body["text"])) <= set(names_of(zone))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_all_times_of_a_notice_have_one_format_and_one_zone(zone: str) -> None:
    frame = Frame(URL, ZoneInfo(zone))
    windows = [BlindWindow(TIME - 2 * DAY, TIME - DAY), BlindWindow(TIME - HOUR, TIME - MINUTE)]
    sent = SentNotices()
    texts = [
        behind_text(Behind(TIME - HOUR, "No sweep has completed since then."), frame.zone),
        blind_text(Notices(sent, False, windows), frame.zone),
        blind_text(Notices(sent, False, windows[:1]), frame.zone),
        blind_text(Notices(sent, False, windows, only_behind=True), frame.zone),
    ]
    for subject, sentences in texts:
        body = compose_notice(subject, sentences, TIME, "thread", frame)
        assert not other_formats(body["subject"] + "\n" + body["text"])
        assert set(ZONES.findall(body["text"])) <= set(names_of(zone))


def names_of(zone: str) -> list[str]:
    """The zone's names in winter and in summer."""
    years = range(1970, 2097)
    days = [datetime(year, month, 1, tzinfo=ZoneInfo(zone)) for year in years for month in (1, 7)]
    return [f"{day:%Z}" for day in days]


def test_times_are_written_in_the_zone_of_the_settings() -> None:
    context = _context("down", [member()], {})
    body = compose(context, Frame(URL, ZoneInfo("Europe/Berlin")))
    assert body["subject"].endswith("silent since 2026-11-23 15:03:15 CET")
    assert "last seen 2026-11-23 15:03:15 CET" in body["text"]


def test_member_line_has_the_number_of_missed_heartbeats() -> None:
    body = down(member(usual_interval=MINUTE))
    assert "usually reports every 1 min, 10 heartbeats missed" in body["text"]


def test_reminder_states_that_it_repeats_until_acknowledged() -> None:
    body = _composed("reminder", [member(name="Boiler room")], {"acknowledge": f"{URL}/a/b"})
    assert body["subject"] == (
        "Reminder: Boiler room at Site X still silent since 2026-11-23 14:03:15 UTC"
    )
    assert "This reminder repeats until someone acknowledges it." in body["text"]
    assert f"Acknowledge, or silence for 4 h: {URL}/a/b\n" in body["text"]
    assert body["actions"] == [{"label": "Acknowledge, or silence for 4 h", "url": f"{URL}/a/b"}]


def test_subject_of_a_flapping_message() -> None:
    body = _composed("flapping", [member(name="Boiler room")], {"silent": 0})
    assert body["subject"] == "Boiler room at Site X keeps going silent and recovering"


def test_subject_of_an_escalated_message() -> None:
    body = down(member(name="Boiler room"), escalated=True)
    assert body["subject"].startswith("Escalated: Boiler room")
    assert "No one has acknowledged this alert yet." in body["text"]


def test_subject_of_a_fleet_wide_message() -> None:
    body = down(member(1, site="A"), member(2, site="B"), site=None, neighbours=2, fleet_wide=True)
    assert body["subject"] == "Fleet-wide: All 2 sensors silent since 2026-11-23 14:03:15 UTC"
    assert "2 of 2 sensors in the fleet are silent." in body["text"]


def test_highest_severity_counts_and_an_unknown_one_is_critical() -> None:
    warning, info = {"severity": "warning"}, {"severity": "info"}
    assert down(member(1, labels=info), member(2, labels=warning))["severity"] == "warning"
    assert down(member(labels={"severity": "odd"}))["severity"] == "critical"
    assert down(member())["severity"] == "critical"


def test_message_about_one_sensor_links_to_its_page() -> None:
    assert down(member(0x020000000001))["link"] == f"{URL}/sensors/02:00:00:00:00:01"
    assert down(member(1), member(2))["link"] == f"{URL}/"


def test_times_in_another_format_are_found() -> None:
    right = "last seen 2026-11-23 14:03:12 CET (02:00:00:00:00:01)"
    assert other_formats(right) == []
    assert other_formats(f"{right}, on 22 November") == ["22 November"]
    assert other_formats(f"{right}, since 14:03 CET") == ["14:03"]


def test_only_a_full_share_is_a_hundred_percent() -> None:
    assert wording.percent(None) is None
    assert wording.percent(1.0) == 100.0
    assert wording.percent(1 - 1e-9) == 99.999


def test_refused_heartbeats_are_evidence() -> None:
    refused: dict[str, Any] = {"refused_at": TIME - 20 * SECOND, "refused_for": UNAUTHORIZED}
    body = down(member(**refused))
    told = "last refused 20 s ago: 401, the token is missing or not valid"
    assert told in body["text"]
    assert body["members"][0]["refused_for"] == "unauthorized"
    presumed = down(member(proven=False, **refused))["text"]
    assert f"{told}; presumed down, because its heartbeats were refused during" in presumed
    before = down(member(refused_at=TIME - DAY, refused_for=UNAUTHORIZED))
    assert "refused" not in before["text"]
