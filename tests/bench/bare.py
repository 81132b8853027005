"""The reference for single ingest: the same gunicorn with a minimal app that reads the body."""

import sys
from collections.abc import Callable
from typing import Any

from monitor.wsgi import GunicornServer, WebProcess


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Reads the body, answers 204."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("204 No Content", [])
    return []


if __name__ == "__main__":
    GunicornServer(
        lambda: WebProcess(application, lambda: None), f"127.0.0.1:{sys.argv[1]}", 2, 8
    ).run()
