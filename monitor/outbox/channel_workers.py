"""Channel workers: each sends on one channel, in one thread at a time and in bounded time."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from monitor.channels.interface import Action, Channel, Message, SendFailed, Several
from monitor.model import parse_time
from monitor.outbox.notifications import Body

SEND_LIMIT = 30
"""Seconds that one send may take. Well below the duration of a claim."""

_SLOW = 3.0
"""Seconds. A channel that takes longer must not delay the others."""

_log = logging.getLogger(__name__)


class ActiveChannel(NamedTuple):
    """A channel that can send messages, and its delivery options."""

    channel: Channel
    tracks: bool = False
    """Its receiver tracks each sensor: it needs every closed incident and every member."""
    budget: int | None = None
    """The daily message limit: the most messages in 24 hours."""
    lasting: Mapping[str, int] | None = None
    """Set if the receiver forgets messages that are not sent again: see `channels.kinds`."""

    @property
    def recipients(self) -> Sequence[str]:
        """Empty unless the channel has several recipients."""
        return self.channel.recipients if isinstance(self.channel, Several) else ()


ChannelSource = Callable[[], Collection[ActiveChannel]]
"""Returns the active channels. While a channel does not change, it is the same object."""


class ChannelWorker:
    """Sends on one channel. A send that takes too long continues in a thread of its own."""

    def __init__(self, active_channel: ActiveChannel) -> None:
        self.active_channel = active_channel
        self.name = active_channel.channel.name
        self.last_turn_at = 0.0
        """When it last started to work (monotonic clock)."""
        self.resend_at = 0.0
        """When to check next whether messages have to be sent again (monotonic clock)."""
        self.paused_until = 0.0
        """Set after an internal error (monotonic clock)."""
        self._sender: threading.Thread | None = None
        self._sending_since: float | None = None
        self._was_slow = False

    @property
    def busy(self) -> bool:
        """Whether a send that exceeded the limit is still running."""
        return self._sender is not None and self._sender.is_alive()

    @property
    def available(self) -> bool:
        """Whether it can work now."""
        return not self.busy and time.monotonic() >= self.paused_until

    @property
    def slow(self) -> bool:
        """Whether the current send takes long, or the last one did."""
        since = self._sending_since
        return self._was_slow or (since is not None and time.monotonic() - since > _SLOW)

    def send(self, message: Message) -> None:
        """Raises SendFailed, also for an error inside the channel."""
        result: Future[None] = Future()

        def work() -> None:
            try:
                self.active_channel.channel.send(message)
            except BaseException as error:  # noqa: BLE001 (raised in the waiting thread)
                result.set_exception(error)
            else:
                result.set_result(None)

        self._sender = threading.Thread(target=work, name=f"send-{self.name}", daemon=True)
        self._sending_since = time.monotonic()
        self._sender.start()
        try:
            failure = result.exception(SEND_LIMIT)
        except TimeoutError:
            detail = f"not finished within {SEND_LIMIT} s"
            raise SendFailed(detail, permanent=False) from None
        finally:
            self._was_slow = time.monotonic() - self._sending_since > _SLOW
            self._sending_since = None
        if isinstance(failure, SendFailed):
            raise failure
        if failure is not None:
            # Its text may contain a secret: only its type and place are logged.
            place = "".join(traceback.format_tb(failure.__traceback__))
            _log.error("channel %s: %s\n%s", self.name, type(failure).__name__, place)
            raise SendFailed(f"an error in the channel ({type(failure).__name__})", permanent=False)


def message_of(key: str, body: Body, recipient: str | None = None) -> Message:
    """Converts a frozen message to what channels send."""
    return Message(
        key=key,
        kind=body["kind"],
        time=parse_time(body["time"]),
        subject=body["subject"],
        text=body["text"],
        data={"key": key, **body},
        thread=body.get("thread", ""),
        severity=body.get("severity", "critical"),
        link=body.get("link", ""),
        actions=tuple(Action(**action) for action in body.get("actions", ())),
        recipient=recipient or "",
    )


class ChannelWorkers:
    """One worker for each active channel."""

    def __init__(self, source: ChannelSource) -> None:
        self._source = source
        self.by_name: dict[str, ChannelWorker] = {}

    def refresh(self) -> None:
        """Applies channels that were added, changed or removed. Raises StateUnavailable."""
        before, self.by_name = self.by_name, {}
        for active_channel in self._source():
            worker = before.get(active_channel.channel.name)
            if worker is None or worker.active_channel.channel is not active_channel.channel:
                worker = ChannelWorker(active_channel)
            worker.active_channel = active_channel
            self.by_name[worker.name] = worker
