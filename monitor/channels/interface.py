"""What every channel is: something that takes a message, or says why it could not."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

TRACKS_SENSORS = frozenset({"alertmanager", "pagerduty"})
"""Kinds whose receiver keeps a state of its own: it gets every closing, and every member."""


class Action(NamedTuple):
    """Something the recipient can do about a message: a page to open."""

    label: str
    url: str


class Message(NamedTuple):
    """The same key always comes with the same content: a receiver may drop repetitions."""

    key: str
    kind: str
    """down | recovered | reminder | flapping | notice | test"""
    time: int
    """When it was frozen (epoch ms)."""
    subject: str
    """One line."""
    text: str
    data: Mapping[str, Any]
    """All of it as JSON, for programs."""
    thread: str = ""
    """The same for all messages about one matter."""
    severity: str = "critical"
    """critical | warning | info"""
    link: str = ""
    """The page that shows more."""
    actions: tuple[Action, ...] = ()
    recipient: str = ""
    """The one it is for, of a channel with several; empty: all of them."""


class SendFailed(Exception):
    """The message was not accepted, or that is unknown.

    `permanent`: trying again is useless. `retry_after`: the receiver's wish (ms from now).
    `gone`: the recipient exists no more, so the channel is of no use either.
    `detail` is kept and shown: it says what happened, without addresses' paths or secrets.
    """

    def __init__(
        self,
        detail: str,
        *,
        permanent: bool,
        retry_after: int | None = None,
        gone: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent
        self.retry_after = retry_after
        self.gone = gone


class Channel(Protocol):
    """A way to reach recipients. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """The name under which messages are owed to it."""

    def send(self, message: Message) -> None:
        """Returns once the message was accepted. Raises SendFailed."""


@runtime_checkable
class Several(Protocol):
    """A channel with several recipients: each message is sent to one of them."""

    @property
    def recipients(self) -> Sequence[str]:
        """As `Message.recipient` names them."""
