"""Browsers that show the grid, in a process of their own.

    python -m tests.bench.browsers URL

Each asks as static/poll.js does: for all sensors first, then 5 s after each reply for what changed
since. Prints a line when every browser has its first reply, and ends when standard input does.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

BROWSERS, EVERY = 10, 5
"""Number, and seconds."""


@contextmanager
def browsers(url: str) -> Iterator[None]:
    """Have them poll; the grid is shown in all of them from the start."""
    command = [sys.executable, "-m", "tests.bench.browsers", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"shown\n"
        yield  # then its standard input is closed, and it ends
    assert process.returncode == 0


class _Browser(threading.Thread):
    def __init__(self, url: str, number: int, over: threading.Event) -> None:
        super().__init__()
        self._url, self._number, self._over = url, number, over
        self.shown = threading.Event()
        self.failed = False

    def run(self) -> None:
        try:
            self._poll()
        except Exception:
            self.failed = True
            raise
        finally:
            self.shown.set()

    def _poll(self) -> None:
        session, since = requests.Session(), ""
        session.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
        self._over.wait(self._number * EVERY / BROWSERS)
        while not self._over.is_set():
            answer = session.get(f"{self._url}/sensors", params={"since": since} if since else {})
            since = answer.json()["cursor"]
            self.shown.set()
            self._over.wait(EVERY)


def main() -> None:
    """Poll until standard input ends; exit with 1 if a poll failed."""
    over = threading.Event()
    opened = [_Browser(sys.argv[1], number, over) for number in range(BROWSERS)]
    for browser in opened:
        browser.start()
    for browser in opened:
        browser.shown.wait()
    print("shown", flush=True)
    sys.stdin.read()
    over.set()
    for browser in opened:
        browser.join()
    sys.exit(any(browser.failed for browser in opened))


if __name__ == "__main__":
    main()
