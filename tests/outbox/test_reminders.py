"""Reminders about several incidents: each incident is in one reminder per repeat interval."""

import pytest

from monitor.channels.interface import SendFailed
from monitor.model import HOUR, MINUTE, SECOND, Held
from monitor.outbox import recipients
from tests.outages import NOW, WAIT
from tests.outbox.alerting import REPEAT, AlertingRig


def test_end_of_a_silence_causes_no_second_reminder_for_the_others(rig: AlertingRig) -> None:
    rig.down(1, 2, now=NOW)
    rig.deliver(NOW + WAIT)
    end = NOW + REPEAT + 2 * HOUR
    rig.held[2] = Held(end, "silence 1 (works)")
    first, second = NOW + WAIT + REPEAT, NOW + WAIT + 2 * REPEAT
    for now in (first, end, end + MINUTE, second):
        rig.deliver(now)
    email = rig.channels["email"]
    assert email.reported[1:] == [("reminder", {"01"}), ("reminder", {"01", "02"})]
    assert [message.time for message in email.messages[1:]] == [first, second]


def test_reminder_to_a_tracking_receiver_is_split_at_the_limit(
    rig: AlertingRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipients, "TRACKING_LIMIT", 2)
    rig.add_channel("pager", "pager", is_default=True)
    rig.down(1, 2, 3, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.channels["pager"].messages.clear()
    rig.deliver(NOW + WAIT + REPEAT)
    assert rig.channels["pager"].reported == [("reminder", {"01", "02"}), ("reminder", {"03"})]


def test_failed_reminder_is_not_tried_again_after_the_recovery(rig: AlertingRig) -> None:
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    email = rig.channels["email"]
    email.failure = SendFailed("busy", permanent=False)
    reminded = NOW + WAIT + REPEAT
    rig.deliver(reminded)
    rig.end(1, now=reminded + SECOND)
    email.failure = None
    rig.deliver(reminded + HOUR)
    assert [kind for kind, _ in email.reported] == ["down", "recovered"]
