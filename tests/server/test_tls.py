"""TLS without a proxy."""

import hashlib
import http.client
import json
import logging
import shutil
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.certificates import Authority
from tests.server.running import PATIENCE, Echo, received, running
from tests.server.serving import MAC, web
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)

LINE = b"02:00:00:00:00:01,2026-01-01T00:00:00.000Z,21.5\n"
LINES, PIECES = 2_000, 200


@pytest.fixture(scope="module")
def service(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("tls")
    variables = {
        "MONITOR_SERVER_CERTIFICATE": directory / "server.crt",
        "MONITOR_SERVER_KEY": authority.issue(directory / "server.crt", "first"),
        "MONITOR_SERVER_BASE_URL": "",
    }
    ca = ("--cacert", str(authority.certificate))
    with web(directory, "https://127.0.0.1:{port}", *ca, **variables) as running_service:
        yield running_service
        # It never begins TLS, and does not delay the end.
        silent = socket.create_connection(("127.0.0.1", running_service.port))
    silent.close()
    assert "Traceback" not in running_service.tail()
    assert "SSL" not in running_service.tail()


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """A client's context."""
    return ssl.create_default_context(cafile=str(authority.certificate))


@pytest.fixture
def context(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    """A server's context."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(tmp_path / "server.crt", authority.issue(tmp_path / "server.crt"))
    return made


def connect(port: int, client: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return client.wrap_socket(plain, server_hostname="127.0.0.1")


def serial(connection: ssl.SSLSocket) -> str:
    certificate = connection.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


def test_heartbeat_and_pages_on_one_connection(service: Service, trusting: ssl.SSLContext) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", service.port, timeout=PATIENCE, context=trusting
    )
    connection.request("POST", "/heartbeat", json.dumps({"mac_address": MAC}))
    reply = connection.getresponse()
    assert (reply.status, json.loads(reply.read())["mac_address"]) == (200, MAC)
    first = connection.sock
    for path in ("/", "/healthz", "/login"):
        connection.request("GET", path, headers={"Accept": "text/html"})
        reply = connection.getresponse()
        assert (reply.status, bool(reply.read())) == (200, True)
    assert connection.sock is first
    cookie = reply.headers["Set-Cookie"]
    assert cookie.startswith("__Host-monitor=")
    assert "; Secure;" in cookie
    connection.close()


def test_plain_http_to_the_tls_port_is_closed(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in received(connection)


def test_tls_1_2_is_the_oldest_version(service: Service, trusting: ssl.SSLContext) -> None:
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(service.port, trusting) as connection:
        assert connection.version() == "TLSv1.2"
    with pytest.deprecated_call():
        trusting.minimum_version = ssl.TLSVersion.TLSv1
        trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connect(service.port, trusting)


def test_renewed_certificate_is_loaded_on_sighup(
    service: Service, authority: Authority, trusting: ssl.SSLContext
) -> None:
    certificate = Path(service.environment["MONITOR_SERVER_CERTIFICATE"])
    body = json.dumps({"mac_address": MAC}).encode()
    head = f"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with connect(service.port, trusting) as kept:
        kept.sendall(head.encode() + body[:5])
        first = serial(kept)
        authority.issue(certificate, "second")
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)

        def renewed() -> bool:
            with connect(service.port, trusting) as connection:
                return serial(connection) != first

        eventually(renewed)
        kept.sendall(body[5:])
        assert received(kept).startswith(b"HTTP/1.1 200 ")


def test_certificate_that_can_not_be_used_does_not_replace_the_old_one(
    service: Service, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    certificate = Path(service.environment["MONITOR_SERVER_CERTIFICATE"])
    shutil.copy(certificate, tmp_path)
    assert service.process is not None
    with connect(service.port, trusting) as connection:
        first = serial(connection)
    before = {each.pid for each in service.named("web")[1:]}
    certificate.write_text("unfinished")
    service.process.send_signal(signal.SIGHUP)
    message = f"server.certificate: {certificate} has no certificate in PEM format; the previous"
    eventually(lambda: message in service.tail())
    eventually(lambda: not before & {each.pid for each in service.named("web")[1:]})
    with connect(service.port, trusting) as connection:
        assert serial(connection) == first
    shutil.copy(tmp_path / certificate.name, certificate)


def test_supervisor_passes_sighup_on(
    authority: Authority, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    variables = {
        "MONITOR_SERVER_CERTIFICATE": tmp_path / "server.crt",
        "MONITOR_SERVER_KEY": authority.issue(tmp_path / "server.crt"),
        "MONITOR_SERVER_BASE_URL": "",
    }
    with Service(tmp_path, **variables) as service:

        def serial_now() -> str:
            try:
                with connect(service.port, trusting) as connection:
                    return serial(connection)
            except OSError:
                return ""

        first = eventually(serial_now)
        arbiter = service.named("web")[0]
        authority.issue(tmp_path / "server.crt")
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: serial_now() not in ("", first))
        assert service.named("web")[0] == arbiter


def test_long_response_arrives_complete(context: ssl.SSLContext, authority: Authority) -> None:
    def export(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/csv")])
        for _ in range(PIECES):
            yield LINE * LINES

    with running(export, context=context) as server:
        got = requests.get(
            f"https://127.0.0.1:{server.port}/", verify=str(authority.certificate), timeout=PATIENCE
        )
    assert len(got.content) == len(LINE) * LINES * PIECES
    expected = hashlib.sha256(LINE * LINES * PIECES)
    assert hashlib.sha256(got.content).digest() == expected.digest()


def test_refusal_of_a_long_body_arrives(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
    with (
        running(handlers={"/echo": Echo()}, context=context) as server,
        connect(server.port, trusting) as connection,
    ):
        connection.sendall(head + bytes(50_000))
        assert received(connection).startswith(b"HTTP/1.1 413 ")


def test_clients_that_leave_early_log_nothing(
    context: ssl.SSLContext, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Echo(keeps=True)
    request = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    with caplog.at_level(logging.INFO), running(handlers={"/slow": handler}, context=context) as to:
        with connect(to.port, trusting) as polite:
            polite.sendall(request)
            eventually(lambda: len(handler.kept) == 1)
            polite.settimeout(PATIENCE)
            polite.unwrap()  # sends close_notify and waits for the server's
        with connect(to.port, trusting) as rude:
            rude.sendall(request)
            eventually(lambda: len(handler.kept) == 2)
        with connect(to.port, trusting) as half:
            half.sendall(request)
            half.shutdown(socket.SHUT_WR)
        with socket.create_connection(("127.0.0.1", to.port)) as silent:
            silent.sendall(b"\x16\x03")
        handler.release(to.loop)
    assert [each.getMessage() for each in caplog.records] == []


def test_stop_answers_clients_that_were_not_accepted_yet(
    context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    entered, released = threading.Event(), threading.Event()

    def stops() -> bool:
        """Blocks the event loop, which then accepts no more."""
        entered.set()
        released.wait(PATIENCE)
        return False

    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack, running(context=context) as server:
        server.goes_on = stops
        assert entered.wait(PATIENCE)
        late = [stack.enter_context(server.connect()) for _ in range(20)]
        released.set()
        for each in late[1:]:
            with trusting.wrap_socket(each, server_hostname="127.0.0.1") as connection:
                connection.sendall(request)
                assert received(connection).endswith(b"hello")
        late[0].close()  # it never began TLS, and did not delay the others
