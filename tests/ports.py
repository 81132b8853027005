"""Ports for servers that the tests start."""

import os
import random
import socket

_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS = range(20_000 + _PROCESS, 32_000, _PROCESSES)


def free_port() -> int:
    """A free loopback port below the range of outgoing connections.

    A port within that range could be taken by any client while the server is down, and a client
    that retries to connect could even connect to itself. Test processes that run side by side
    choose from different ports.
    """
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")
