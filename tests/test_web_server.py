"""gunicorn as the service runs it."""

import socket
from pathlib import Path

import pytest
import requests

from monitor import wsgi
from tests.service import Service
from tests.waiting import eventually

HALF = b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.timeout(120)
def test_incomplete_requests_on_every_thread_do_not_block_others(tmp_path: Path) -> None:
    threads = {"MONITOR_SERVER_WORKERS": 1, "MONITOR_SERVER_THREADS": 2}
    with Service(tmp_path, **threads) as service:
        service.ready()
        held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(6)]
        for connection in held:
            connection.sendall(HALF + b"Content-Length: 100\r\n\r\n{")
        connection = held[0]
        connection.settimeout(3 * wsgi.HALF_SENT / 1000)
        # The server times out on the first request, which frees its thread.
        connection.recv(1000)
        for connection in held:
            connection.close()
        service.beat("02:00:00:00:00:01")


def test_head_and_short_body_are_sent_together_and_long_bodies_are_streamed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        buffered = wsgi._BufferedConnection(ours)
        buffered.sendall(b"head")
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        buffered.sendall(b"body")
        buffered.flush()
        assert theirs.recv(100) == b"headbody"
        buffered.sendall(b"head")
        buffered.send(b"100 Continue")  # all other work comes later
        assert theirs.recv(100) == b"head100 Continue"
        buffered.sendall(bytes(100_000))
        assert theirs.recv(1_000_000)


def test_answer_longer_than_the_buffer_arrives_complete(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.ready()
        row = '{"mac_address":"02:00:00:00:00:%02x"}'
        service_rows = "\n".join(row % (n % 256) for n in range(256))
        answer = requests.post(
            f"{service.url}/heartbeats",
            data=service_rows,
            headers={"Content-Type": "application/x-ndjson"},
            timeout=10,
        )
        assert answer.json()["accepted"] == 256
        eventually(lambda: len(service.sensors()) == 256)
