"""Fixtures: both databases, and servers that receive messages."""

from collections.abc import Iterator

import pytest

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
