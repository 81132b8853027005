"""A notifier process of its own, which can be killed: state URL, webhook URL, SMTP port, and where
it kills itself (freezing | before sending | after sending | nowhere)."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from monitor.channels.email import Email
from monitor.channels.interface import Channel, Message
from monitor.channels.webhook import Webhook
from monitor.outbox import message
from monitor.state.database import open_state
from tests.delivering import delivery


def die() -> None:
    """As kill -9 does: nothing is finished, flushed or rolled back by us."""
    os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    """A channel whose process dies around a real sending."""

    def __init__(self, channel: Channel, before: bool) -> None:
        self.name, self._channel, self._before = channel.name, channel, before

    def send(self, message: Message) -> None:
        """Sends, or not, and dies."""
        if not self._before:
            self._channel.send(message)
        die()


def main(state_url: str, hook_url: str, smtp_port: str, dies: str) -> None:
    """Delivers until killed or told to stop."""
    channels: list[Channel] = [
        Webhook(hook_url, allow_internal=True),
        Email("127.0.0.1", int(smtp_port), "none", "", "", "m@example.org", ["n@example.org"]),
    ]
    if dies.endswith("sending"):
        channels = [Dying(channel, dies == "before sending") for channel in channels]
    if dies == "freezing":
        message.compose = _then_die(message.compose)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    delivery(open_state(state_url), channels).run(stop)


def _then_die(compose: Callable[..., Any]) -> Callable[..., Any]:
    def composed(*arguments: Any, **options: Any) -> Any:
        compose(*arguments, **options)
        die()

    return composed


if __name__ == "__main__":
    main(*sys.argv[1:])
