"""The interface of channels: send a message, or raise SendFailed with the reason."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

TRACKS_SENSORS = frozenset({"alertmanager", "pagerduty"})
"""Kinds whose receiver tracks each sensor: it gets every recovery and every member."""


class Action(NamedTuple):
    """A link that the recipient can open to act on a message."""

    label: str
    url: str


class Message(NamedTuple):
    """A message to send. The same key always has the same content, so a receiver may drop
    duplicates."""

    key: str
    kind: str
    """down | recovered | reminder | flapping | notice | test"""
    time: int
    """When the message was frozen (epoch ms)."""
    subject: str
    """One line."""
    text: str
    data: Mapping[str, Any]
    """The whole message as JSON, for programs."""
    thread: str = ""
    """The same for all messages about one group or one notice."""
    severity: str = "critical"
    """critical | warning | info"""
    link: str = ""
    """The page with details."""
    actions: tuple[Action, ...] = ()
    recipient: str = ""
    """One of the channel's recipients; empty for all of them."""


class SendFailed(Exception):
    """The message was not accepted, or it is unknown whether it was.

    `permanent`: retrying is useless. `retry_after`: the delay that the receiver asks for (ms).
    `gone`: the recipient no longer exists, so the channel is useless.
    `detail` is stored and shown. It describes the failure without URL paths or secrets.
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
    """A way to send messages to recipients. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """The channel's name, as messages in the outbox refer to it."""

    def send(self, message: Message) -> None:
        """Returns once the receiver accepted the message. Raises SendFailed."""


@runtime_checkable
class Several(Protocol):
    """A channel with several recipients: each message is sent to one of them."""

    @property
    def recipients(self) -> Sequence[str]:
        """The values that `Message.recipient` can have."""
