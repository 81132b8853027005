"""Heartbeats from curl, wget and small devices, and broken requests."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import Service

MAC = "02:00:00:00:00:01"
JSON = f'{{"mac_address":"{MAC}","battery":3.1}}'
FORM = f"mac_address={MAC}&battery=3.1"
DEVICE = "POST {path} HTTP/1.{minor}\r\nHost: 127.0.0.1\r\n{headers}\r\n{body}"
ESP = (
    "User-Agent: ESP8266HTTPClient\r\n"
    "Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\nConnection: close\r\n"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service")) as service:
        service.ready()
        yield service


def answered(service: Service, request: bytes) -> str:
    with socket.create_connection(("127.0.0.1", service.port), 30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()


def reply(text: str | bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    assert found["mac_address"] == MAC
    assert "ignored" not in found
    return found


CURL = [
    ["-d", JSON],
    ["-d", FORM],
    ["-d", f"mac_address={MAC}", "-d", "battery=3.1"],
    ["--data-urlencode", f"mac_address={MAC}", "--data-urlencode", "battery=3.1"],
    ["-H", "Content-Type:", "-d", JSON],
    ["-H", "Content-Type: text/plain", "-d", JSON],
    ["-G", "-d", FORM],
    ["-X", "PUT", "-d", JSON],
    ["-H", "Transfer-Encoding: chunked", "-d", JSON],
    ["--json", JSON],
]


@pytest.mark.parametrize("options", CURL)
@pytest.mark.parametrize("path", ["/heartbeat", "/heartbeat/"])
def test_curl(service: Service, options: list[str], path: str) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is needed"
    url = f"{service.url}{path}"
    reply(subprocess.run([curl, "-sf", *options, url], check=True, capture_output=True).stdout)


def test_curl_without_a_body(service: Service) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is needed"
    url = f"{service.url}/heartbeat?{FORM}"
    reply(subprocess.run([curl, "-sf", "-X", "POST", url], check=True, capture_output=True).stdout)
    head = subprocess.run([curl, "-sfI", url], check=True, capture_output=True, text=True).stdout
    assert head.startswith("HTTP/1.1 200 OK")


@pytest.mark.parametrize("how", ["--post-data", "--body-data"])
@pytest.mark.parametrize("body", [JSON, FORM])
def test_wget(service: Service, how: str, body: str) -> None:
    wget = shutil.which("wget")
    assert wget, "wget is needed"
    options = [f"{how}={body}", *(["--method=PUT"] if how == "--body-data" else [])]
    command = [wget, "-qO-", *options, f"{service.url}/heartbeat"]
    reply(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.parametrize(
    ("minor", "headers", "body"),
    [
        (1, ESP, JSON),
        (1, ESP, FORM),
        (1, f"{ESP}Content-Type: application/x-www-form-urlencoded\r\n", JSON),
        (1, f"{ESP}Content-Type: application/x-www-form-urlencoded\r\n", FORM),
        (1, f"{ESP}Content-Type: text/plain\r\n", JSON),
        (0, "", JSON),  # MicroPython's urequests
        (0, "", FORM),
        (0, "Content-Type: application/json\r\n", JSON),
    ],
)
def test_requests_of_small_devices_are_accepted(
    service: Service, minor: int, headers: str, body: str
) -> None:
    headers += f"Content-Length: {len(body)}\r\n"
    request = DEVICE.format(path="/heartbeat", minor=minor, headers=headers, body=body)
    head, _, content = answered(service, request.encode()).partition("\r\n\r\n")
    assert head.split()[1] == "200", head
    reply(content)


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "chunk size": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "negative size": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "endless size": CHUNKED + b"f" * 9_000,
    "no end of a chunk": CHUNKED + b"2\r\n{}xx0\r\n\r\n",
    "trailer": CHUNKED + b"2\r\n{}\r\n0\r\nno colon\r\n\r\n",
    "cut off": CHUNKED + b"20\r\n{}",
    "coding": b"Transfer-Encoding: no such thing\r\n\r\n",
    "shorter": b"Content-Length: 100\r\n\r\n{}",
    "headers": b"Authorization: \xff\xfe\r\nContent-Encoding: \xfc\r\nContent-Length: 2\r\n\r\n{}",
    "not UTF-8": b'Content-Length: 10\r\n\r\n{"\xff\xfe": 1}x',
}


@pytest.mark.parametrize("path", ["/heartbeat", "/heartbeats", "/login"])
@pytest.mark.parametrize("rest", BROKEN.values(), ids=BROKEN)
def test_broken_request_is_refused_without_traceback(
    service: Service, path: str, rest: bytes
) -> None:
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
    answer = answered(service, start + kind + rest)
    assert answer.startswith(("HTTP/1.1 4", "HTTP/1.1 501 ")), answer
    assert "Traceback" not in service.log.read_text("utf-8", "replace")
