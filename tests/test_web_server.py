"""The server as the service runs it; `tests/server` has the tests of its parts."""

import json
import re
import socket
from collections.abc import Iterator

import pytest
import requests

from monitor.model import format_mac
from tests.service import Service
from tests.waiting import eventually

BEAT = "POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
THREADS = 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"MONITOR_SERVER_WORKERS": 1, "MONITOR_SERVER_THREADS": THREADS}
    with Service(tmp_path_factory.mktemp("service"), **settings) as service:
        service.ready()
        yield service


def connection_to(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), 30)


@pytest.mark.parametrize(
    "part",
    [
        f"{BEAT}Content-Length: 100\r\n\r\n{{",
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nname=",
        "GET /sensors HTTP/1.1\r\nHost:",
    ],
    ids=["heartbeat", "page", "head"],
)
def test_more_incomplete_requests_than_threads_delay_no_other(service: Service, part: str) -> None:
    held = [connection_to(service) for _ in range(3 * THREADS)]
    for connection in held:
        connection.sendall(part.encode())
    service.beat("02:00:00:00:00:01")
    assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
    for connection in held:
        connection.close()


def test_pipelined_heartbeats_are_answered_in_order(service: Service) -> None:
    macs = [f"02:00:00:00:01:{number:02x}" for number in range(100)]
    bodies = [json.dumps({"mac_address": mac}) for mac in macs]
    requests_sent = [f"{BEAT}Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies]
    last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with connection_to(service) as connection:
        connection.sendall("".join([*requests_sent, last]).encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == len(macs) + 1
    assert re.findall(r'"mac_address":"([^"]+)"', answer.decode()) == macs


def test_long_requests_and_answers_arrive_complete(service: Service) -> None:
    macs = [format_mac(0x020000020000 + number) for number in range(1000)]
    rows = "\n".join(json.dumps({"mac_address": mac}) for mac in macs)
    answer = requests.post(
        f"{service.url}/heartbeats",
        data=rows,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=10,
    )
    assert answer.json()["accepted"] == 1000
    eventually(lambda: service.sensors().keys() >= set(macs))
