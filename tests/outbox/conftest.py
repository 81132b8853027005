"""Fixtures: both databases, and servers that receive messages."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.outbox.alerting import AlertingRig
from tests.receiver import Receiver, receiver
from tests.smtp import Mailbox, mailbox
from tests.states import state, state_url

__all__ = ["box", "hook", "state", "state_url"]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as hook:
        yield hook


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def rig(state: Engine) -> AlertingRig:
    """Three sensors at one site."""
    rig = AlertingRig(state)
    for mac in (1, 2, 3):
        rig.add_sensor(mac)
    return rig
