"""gunicorn as the service runs it."""

import socket
from pathlib import Path

import pytest

from monitor import wsgi
from tests.service import Service

HALF = b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.timeout(120)
def test_half_sent_requests_on_every_thread_do_not_lock_others_out(tmp_path: Path) -> None:
    threads = {"MONITOR_SERVER_WORKERS": 1, "MONITOR_SERVER_THREADS": 2}
    with Service(tmp_path, **threads) as service:
        service.ready()
        held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(6)]
        for connection in held:
            connection.sendall(HALF + b"Content-Length: 100\r\n\r\n{")
        connection = held[0]
        connection.settimeout(3 * wsgi.HALF_SENT / 1000)
        # The server gives up on the first, so its thread is free again.
        connection.recv(1000)
        for connection in held:
            connection.close()
        service.beat("02:00:00:00:00:01")
