"""The access log of the real service: the common log format, on standard output."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from monitor.model import format_mac
from tests.server.running import received
from tests.server.serving import MAC, web
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)

TOKEN = "0123456789abcdefTOKEN"
LINE = re.compile(
    r"(?P<host>\S+) - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
    r'"(?P<request>[A-Z]+ \S+ HTTP/1\.[01])" (?P<status>\d{3}) (?P<size>\d+)'
)
CLIENTS, EACH = 8, 25


def test_one_line_for_each_request_without_queries_and_tokens(tmp_path: Path) -> None:
    variables = {"MONITOR_SERVER_ACCESS_LOG": "true", "MONITOR_INGEST_TOKEN": TOKEN}
    with web(tmp_path, "http://127.0.0.1:{port}", **variables) as service:
        address = f"{service.url}/heartbeat"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        before = service.log.read_text()
        requests.get(f"{address}?mac_address={MAC}&name=secret", headers=bearer, timeout=10)
        requests.get(f"{address}?token={TOKEN}", timeout=10)
        requests.post(address, json={"mac_address": MAC}, timeout=10)
        requests.get(f"{service.url}/password/{TOKEN * 2}?next=secret", timeout=10)
        requests.head(f"{service.url}/healthz", timeout=10)
        requests.get(f"{service.url}/%22%0A", timeout=10)
        page = requests.get(f"{service.url}/static/none", timeout=10)
        ask(service.port, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        ask(service.port, b"BROKEN\r\n\r\n")
        ask(service.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nBROKEN\r\n\r\n")
        wanted = [
            "GET /heartbeat HTTP/1.1 200",
            "GET /heartbeat HTTP/1.1 400",
            "POST /heartbeat HTTP/1.1 401",
            "GET /password/... HTTP/1.1 410",
            "HEAD /healthz HTTP/1.1 200",
            "GET /?? HTTP/1.1 404",
            "GET /static/none HTTP/1.1 404",
            "GET /healthz HTTP/1.0 200",
            "GET /healthz HTTP/1.1 200",
        ]

        def found() -> list[re.Match[str]]:
            return list(LINE.finditer(service.log.read_text().removeprefix(before)))

        eventually(lambda: len(found()) >= len(wanted))
        # Two workers answer, so lines of different connections may be in any order.
        assert sorted(f"{each['request']} {each['status']}" for each in found()) == sorted(wanted)
        assert {each["host"] for each in found()} == {"127.0.0.1"}
        missing = next(each for each in found() if "/static/none" in each["request"])
        assert int(missing["size"]) == len(page.content)
    log = service.log.read_text()
    assert TOKEN not in log
    assert "secret" not in log
    assert "next=" not in log


def test_no_line_is_lost_or_torn_under_load(tmp_path: Path) -> None:
    with web(tmp_path, "http://127.0.0.1:{port}", MONITOR_SERVER_ACCESS_LOG="true") as service:

        def send(client: int) -> None:
            with requests.Session() as session:
                for number in range(EACH):
                    mac = format_mac(0x020000000000 + client * EACH + number)
                    session.post(
                        f"{service.url}/heartbeat", json={"mac_address": mac}, timeout=10
                    ).raise_for_status()

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(send, range(CLIENTS)))

        def lines() -> list[str]:
            return [each for each in service.log.read_text().splitlines() if "/heartbeat" in each]

        eventually(lambda: len(lines()) == CLIENTS * EACH)
        assert all(LINE.fullmatch(each) for each in lines())


def test_there_is_no_access_log_by_default(tmp_path: Path) -> None:
    with web(tmp_path, "http://127.0.0.1:{port}") as service:
        requests.get(f"{service.url}/healthz", timeout=10)
    assert "GET /healthz" not in service.tail()


def ask(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received(connection)
