"""The access log, in the common log format."""

import contextlib
import re
import sys
import time

from monitor.server.messages import Request

_LONG = re.compile(r"[^/]{25,}")
"""A part of a path that may be a secret, such as the one of a login link."""
_UNPRINTABLE = re.compile(r"[^\x21\x23-\x7e]")


def log_access(request: Request, status: int, size: int) -> None:
    """Writes one line to standard output. Query strings are left out, and long parts of paths
    shortened, because they may contain secrets."""
    path = _UNPRINTABLE.sub("?", _LONG.sub("...", request.path))
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    # The disk may be full, or the terminal closed: requests are answered all the same.
    with contextlib.suppress(OSError):
        sys.stdout.write(
            f"{request.peer[0] or '-'} - - [{when}] "
            f'"{request.method} {path} HTTP/{request.version}" {status} {size}\n'
        )
        sys.stdout.flush()
