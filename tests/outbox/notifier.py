"""A notifier process that tests can kill. Arguments: state URL, webhook URL, SMTP port."""

import signal
import sys

from monitor.channels.email import Email
from monitor.channels.interface import Channel
from monitor.channels.webhook import Webhook
from monitor.state.database import open_state
from tests.delivering import delivery


def main(state_url: str, hook_url: str, smtp_port: str) -> None:
    """Deliver until SIGTERM."""
    channels: list[Channel] = [
        Webhook(hook_url, allow_internal=True),
        Email("127.0.0.1", int(smtp_port), "none", "", "", "m@example.org", ["n@example.org"]),
    ]
    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    delivery(open_state(state_url), channels).run(lambda: signals)


if __name__ == "__main__":
    main(*sys.argv[1:])
