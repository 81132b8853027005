"""Ports for servers that the tests start."""

import random
import socket


def free_port() -> int:
    """A free loopback port below the range of outgoing connections.

    A port within that range could be taken by any client while the server is down, and a client
    that retries to connect could even connect to itself.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")
