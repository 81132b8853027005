"""The channels a notifier serves: each answers in bounded time and is used by one thread."""

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
"""Seconds a channel may take, whatever it is doing: well below a claim's duration."""

_SLOW = 3.0
"""Seconds; what takes longer must not keep others waiting."""

_log = logging.getLogger(__name__)


class Served(NamedTuple):
    """A channel as it is set up now."""

    channel: Channel
    tracks: bool = False
    """Its receiver gets every closing and every member."""
    budget: int | None = None
    """The most messages in 24 hours."""
    lasting: Mapping[str, int] | None = None
    """Its receiver forgets what is not sent again: see `channels.kinds`."""

    @property
    def recipients(self) -> Sequence[str]:
        """Of a channel with several."""
        return self.channel.recipients if isinstance(self.channel, Several) else ()


Supply = Callable[[], Collection[Served]]
"""Gives the channels in force; the same object for one that did not change."""


class Outlet:
    """A channel that answers in bounded time, whatever it hangs in."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.name = served.channel.name
        self.worked_at = 0.0
        """By the monotonic clock; when it last had its turn."""
        self.renews_at = 0.0
        """By the monotonic clock; when to see whether it is time to renew."""
        self.rests_until = 0.0
        """By the monotonic clock; after a fault of our own."""
        self._sender: threading.Thread | None = None
        self._sending_since: float | None = None
        self._was_slow = False

    @property
    def busy(self) -> bool:
        """Whether a message given up on is still being sent."""
        return self._sender is not None and self._sender.is_alive()

    @property
    def free(self) -> bool:
        """Whether it may be used now."""
        return not self.busy and time.monotonic() >= self.rests_until

    @property
    def slow(self) -> bool:
        """Whether sending takes long now, or took long the last time."""
        since = self._sending_since
        return self._was_slow or (since is not None and time.monotonic() - since > _SLOW)

    def send(self, message: Message) -> None:
        """Raises SendFailed, also for a channel's own faults."""
        result: Future[None] = Future()

        def work() -> None:
            try:
                self.served.channel.send(message)
            except BaseException as error:  # noqa: BLE001 (handed to the waiting thread)
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
            # Its text may hold a secret: only its kind and place are told.
            place = "".join(traceback.format_tb(failure.__traceback__))
            _log.error("channel %s: %s\n%s", self.name, type(failure).__name__, place)
            raise SendFailed(f"an error in the channel ({type(failure).__name__})", permanent=False)


def message_of(key: str, body: Body, recipient: str | None = None) -> Message:
    """A frozen message as channels take it."""
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


class Outlets:
    """The outlets by name, kept up to date with the supply."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self.by_name: dict[str, Outlet] = {}

    def refresh(self) -> None:
        """Take over what was added, changed or removed. Raises StateUnavailable."""
        before, self.by_name = self.by_name, {}
        for served in self._supply():
            outlet = before.get(served.channel.name)
            if outlet is None or outlet.served.channel is not served.channel:
                outlet = Outlet(served)
            outlet.served = served
            self.by_name[outlet.name] = outlet
