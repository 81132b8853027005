"""The reference for single ingest: gunicorn's threads with a minimal app that reads the body."""

import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Reads the body, answers 204."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("204 No Content", [])
    return []


class Bare(BaseApplication):  # type: ignore[misc]
    """Two workers with eight threads each."""

    def load_config(self) -> None:
        options = {
            "bind": f"127.0.0.1:{sys.argv[1]}",
            "workers": 2,
            "threads": 8,
            "worker_class": "gthread",
            "reuse_port": True,
            "keepalive": 75,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return application


if __name__ == "__main__":
    Bare().run()
