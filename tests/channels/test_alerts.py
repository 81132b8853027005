"""The alerts that an Alertmanager receives."""

import json
import re

from monitor.channels.alerts import Alert, alerts
from monitor.channels.interface import Message
from monitor.model import DAY, HOUR, MINUTE, SECOND, format_time
from monitor.outbox.channel_workers import message_of
from monitor.outbox.message import compose_notice, compose_test
from tests.channels.messages import FRAME, NOW, message_about, sensor

LINK = "https://monitor.example.org/sensors/02:00:00:00:00:0a"
MAC = 0x02000000000A


def alerts_of(message: Message) -> list[Alert]:
    return alerts(message, NOW)


def of_service(kind: str) -> Message:
    body = compose_notice("Monitoring was blind", ["From …"], NOW, "blind:1", FRAME, kind)
    return message_of("key", body)


def test_down_message_becomes_one_firing_alert_per_sensor() -> None:
    labels = {"severity": "warning", "line": "3"}
    boiler = sensor(MAC, name="Boiler", labels=labels, usual_interval=MINUTE)
    first, second = alerts_of(message_about("down", boiler, sensor(0x02000000000B)))
    assert first == {
        "labels": {
            "alertname": "SensorSilent",
            "mac": "02:00:00:00:00:0a",
            "name": "Boiler",
            "site": "Harbour",
            "severity": "warning",
            "line": "3",
        },
        "annotations": {
            "summary": "Boiler at Harbour is silent",
            "description": (
                "Last seen 2026-11-23T14:03:00.000Z; threshold 600 s; usually reports every 60 s."
            ),
            "last_seen": "2026-11-23T14:03:00.000Z",
            "link": LINK,
        },
        "startsAt": "2026-11-23T14:13:05.000Z",
        "endsAt": format_time(NOW + 5 * MINUTE),
        "generatorURL": LINK,
    }
    assert second["labels"]["mac"] == "02:00:00:00:00:0b"
    assert second["labels"]["severity"] == "critical"


def test_down_reminder_and_recovery_have_the_same_labels() -> None:
    down = sensor(MAC, labels={"severity": "warning"})
    back = down._replace(recovered_at=NOW + MINUTE)
    (silent,) = alerts_of(message_about("down", down))
    (again,) = alerts_of(message_about("reminder", down, time=NOW + 4 * HOUR))
    (over,) = alerts_of(message_about("recovered", back, time=NOW + 2 * MINUTE))
    assert silent["labels"] == again["labels"] == over["labels"]
    assert silent["startsAt"] == again["startsAt"] == over["startsAt"]
    assert again["endsAt"] == format_time(NOW + 5 * MINUTE)
    assert over["endsAt"] == format_time(NOW + MINUTE)


def test_alert_ends_at_message_time_when_no_heartbeat_ended_the_incident() -> None:
    (over,) = alerts_of(message_about("recovered", sensor(MAC), time=NOW + HOUR))
    assert over["endsAt"] == format_time(NOW + HOUR)


def test_alert_never_ends_before_it_starts() -> None:
    late = sensor(MAC, opened_at=NOW, recovered_at=NOW - MINUTE)
    (over,) = alerts_of(message_about("recovered", late))
    assert over["startsAt"] == format_time(NOW)
    assert over["endsAt"] == format_time(NOW + SECOND)


def test_description_states_that_a_sensor_is_presumed_down() -> None:
    (alert,) = alerts_of(message_about("down", sensor(MAC, proven=False)))
    assert "presumed down, because monitoring was blind" in alert["annotations"]["description"]


def test_alert_has_the_acknowledge_link() -> None:
    (alert,) = alerts_of(
        message_about("down", sensor(MAC), acknowledge="https://monitor.example.org/a/1")
    )
    assert alert["annotations"]["acknowledge"] == "https://monitor.example.org/a/1"


def test_missing_name_and_site_are_left_out() -> None:
    (alert,) = alerts_of(message_about("down", sensor(MAC, site=None, name=None)))
    assert alert["labels"].keys() == {"alertname", "mac", "severity"}
    assert alert["annotations"]["summary"] == "02:00:00:00:00:0a is silent"


def test_label_names_are_made_valid_and_do_not_override_own_labels() -> None:
    given = {"rack-row": "1", "3d": "2", "mac": "3", "__x": "4", "Größe": "5", "_": "6", "": "7"}
    (alert,) = alerts_of(message_about("down", sensor(MAC, labels=given)))
    labels = alert["labels"]
    assert labels["mac"] == "02:00:00:00:00:0a"
    assert labels["label_mac"] == "3"
    assert labels["rack_row"] == "1"
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in labels)
    assert not any(name.startswith("__") for name in labels)


def test_flapping_is_a_separate_alert_for_one_day() -> None:
    (alert,) = alerts_of(message_about("flapping", sensor(MAC, name="Boiler")))
    assert alert["labels"]["alertname"] == "SensorFlapping"
    assert alert["annotations"]["summary"] == "Boiler at Harbour keeps going silent and recovering"
    assert alert["endsAt"] == format_time(NOW + DAY)


def test_notice_fires_for_one_hour() -> None:
    (alert,) = alerts_of(of_service("notice"))
    assert alert["labels"] == {
        "alertname": "MonitoringNotice",
        "severity": "warning",
        "thread": "blind:1",
    }
    assert alert["annotations"]["summary"] == "Monitoring was blind"
    assert alert["startsAt"] == format_time(NOW)
    assert alert["endsAt"] == format_time(NOW + HOUR)


def test_test_message_is_an_alert_of_five_minutes() -> None:
    (alert,) = alerts_of(message_of("key", compose_test(NOW, FRAME)))
    assert alert["labels"] == {"alertname": "MonitoringTest", "severity": "info"}
    assert alert["endsAt"] == format_time(NOW + 5 * MINUTE)


def test_thousand_alerts_are_smaller_than_800_kb() -> None:
    many = [sensor(MAC + number, labels={"line": "3"}) for number in range(1_000)]
    assert len(json.dumps(alerts_of(message_about("down", *many)))) < 800_000


def test_description_states_that_heartbeats_are_refused() -> None:
    (alert,) = alerts_of(message_about("down", sensor(MAC, refused_at=NOW, refused_for="host")))
    assert f"; last refused {format_time(NOW)}: " in alert["annotations"]["description"]
    assert "421, the Host header does not name this server" in alert["annotations"]["description"]
