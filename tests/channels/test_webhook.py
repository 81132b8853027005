"""The webhook channel against a real HTTP server."""

import base64
import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.channels import http
from monitor.channels.http import LARGEST
from monitor.channels.interface import Message, SendFailed
from monitor.channels.webhook import Webhook
from monitor.model import SECOND
from tests.certificates import server_context
from tests.receiver import Receiver, receiver

MESSAGE = Message(
    key="0123456789abcdef",
    kind="down",
    time=1_795_395_720_000,
    subject="Boiler room silent since 14:03 UTC",
    text="…",
    data={"key": "0123456789abcdef", "subject": "Boiler room at Ä", "members": [{"mac": "…"}]},
)

BOTH = ("93.184.216.34", "169.254.169.254")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as hook:
        yield hook


def failure(url: str, allow_internal: bool = True) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        Webhook(url, allow_internal).send(MESSAGE)
    return caught.value


def test_message_is_posted_as_json_with_its_key(hook: Receiver) -> None:
    Webhook(hook.url, allow_internal=True).send(MESSAGE)
    (got,) = hook.requests
    assert (got.method, got.path) == ("POST", "/hook")
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Idempotency-Key"] == MESSAGE.key
    assert json.loads(got.body) == MESSAGE.data


def test_repeated_message_is_byte_identical(hook: Receiver) -> None:
    Webhook(hook.url, allow_internal=True).send(MESSAGE)
    shuffled = MESSAGE._replace(data=dict(reversed(list(MESSAGE.data.items()))))
    Webhook(hook.url, allow_internal=True).send(shuffled)
    first, second = hook.requests
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_status_is_success(hook: Receiver, status: int) -> None:
    hook.status = status
    Webhook(hook.url, allow_internal=True).send(MESSAGE)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_temporary_error_status_is_retried(hook: Receiver, status: int) -> None:
    hook.status = status
    refused = failure(hook.url)
    assert not refused.permanent
    assert refused.retry_after is None
    assert refused.detail == f"answer {status}"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_permanent_error_status_is_permanent(hook: Receiver, status: int) -> None:
    hook.status = status
    assert failure(hook.url).permanent


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("120", 120 * SECOND),
        ("Mon, 23 Nov 2026 03:45:00 GMT", 180 * SECOND),
        ("Mon, 23 Nov 2026 03:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("9" * 400, 999_999_999 * SECOND),
    ],
)
def test_retry_after_header_is_parsed(hook: Receiver, wish: str, expected: int | None) -> None:
    hook.status, hook.date = 503, "Mon, 23 Nov 2026 03:42:00 GMT"
    hook.headers = {"Retry-After": wish}
    assert failure(hook.url).retry_after == expected


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(hook: Receiver, status: int) -> None:
    with receiver() as target:
        hook.status, hook.headers = status, {"Location": target.url}
        refused = failure(hook.url)
        assert refused.permanent
        assert target.requests == []


def test_hanging_receiver_times_out(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.channels.http.TIMEOUTS", (4, 0.05))
    done = threading.Event()
    hook.before_answer = lambda _: done.wait(10)
    refused = failure(hook.url)
    done.set()
    assert not refused.permanent
    assert refused.detail == "no answer in time"


def test_only_the_start_of_a_long_answer_is_read(hook: Receiver) -> None:
    hook.status, hook.body = 200, b"x" * (3 * LARGEST)
    assert len(http.post(hook.url, b"", {}, allow_internal=True).body) == LARGEST


def test_name_with_any_internal_address_is_refused(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 80)) for place in BOTH]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    assert "internal" in failure("http://hook.example.org/", allow_internal=False).detail


def test_next_address_is_tried_when_one_does_not_answer(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def both(host: str, *arguments: Any, **options: Any) -> Any:
        if host != "hook.example.org":
            return resolve(host, *arguments, **options)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 0))
            for place in ("127.0.0.2", "127.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    url = hook.url.replace("127.0.0.1", "hook.example.org")
    Webhook(url, allow_internal=True).send(MESSAGE)
    (request,) = hook.requests
    assert request.headers["Host"].startswith("hook.example.org:")


def test_unknown_host_name_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refused = failure("https://hook.example.org/secret-path", allow_internal=False)
    assert (refused.permanent, refused.detail) == (
        False,
        "no connection, or the connection was lost",
    )


def test_unreachable_receiver_is_retried() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = failure(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert not refused.permanent


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]"]
)
def test_internal_address_is_refused_in_every_notation(hook: Receiver, host: str) -> None:
    refused = failure(hook.url.replace("127.0.0.1", host), allow_internal=False)
    assert hook.requests == []
    assert "internal" in refused.detail


def test_no_connection_is_made_to_an_internal_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert "internal" in failure(f"https://127.0.0.1:{port}/", allow_internal=False).detail
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_connection_uses_the_address_that_was_checked(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(hook.url.split(":")[2].split("/")[0])
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def rebinding(host: str, *arguments: Any, **options: Any) -> Any:
        if host != "hook.example.org":
            return resolve(host, *arguments, **options)
        asked.append(host)
        place = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr("monitor.channels.http.TIMEOUTS", (0.2, 0.2))
    failure(f"http://hook.example.org:{port}/hook", allow_internal=False)
    assert (asked, hook.requests) == (["hook.example.org"], [])
    refused = failure(f"http://hook.example.org:{port}/hook", allow_internal=False)
    assert "internal" in refused.detail


@pytest.mark.parametrize(
    ("secret", "key"),
    [("a secret of our own", b"a secret of our own"), ("whsec_AAH/EBE=", b"\x00\x01\xff\x10\x11")],
)
def test_signature_can_be_verified(hook: Receiver, secret: str, key: bytes) -> None:
    before = int(time.time())
    Webhook(hook.url, allow_internal=True, signing_secret=secret).send(MESSAGE)
    headers = signed_headers(hook)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    digest = hmac.new(key, signed + hook.requests[0].body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert before <= int(headers["webhook-timestamp"]) <= time.time()


def test_repeated_message_has_a_new_signature_and_the_same_id(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (1_795_395_725.0, 1_795_400_000.0):
        monkeypatch.setattr("monitor.channels.webhook.time.time", lambda now=now: now)
        Webhook(hook.url, allow_internal=True, signing_secret="ours").send(MESSAGE)
    first, second = signed_headers(hook, 0), signed_headers(hook, 1)
    assert first["webhook-id"] == second["webhook-id"] == MESSAGE.key
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1795395725", "1795400000")
    assert first["webhook-signature"] != second["webhook-signature"]
    assert hook.requests[0].body == hook.requests[1].body


def test_no_signature_without_a_secret(hook: Receiver) -> None:
    Webhook(hook.url, allow_internal=True).send(MESSAGE)
    assert not [name for name in signed_headers(hook) if name.startswith("webhook-")]


def test_signing_secret_that_is_not_base64_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="signing_secret") as caught:
        Webhook("https://example.org/", signing_secret="whsec_not base64")
    assert "not base64" not in str(caught.value)


def signed_headers(hook: Receiver, request: int = 0) -> dict[str, str]:
    return {name.lower(): value for name, value in hook.requests[request].headers.items()}


def test_address_on_this_machine_is_called_without_the_proxy_and_netrc(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    Webhook(hook.url, allow_internal=True).send(MESSAGE)
    assert "Authorization" not in hook.requests[0].headers


@pytest.mark.parametrize(
    "url", ["", "example.org", "ftp://example.org", "file:///etc/passwd", "http://"]
)
def test_invalid_url_is_refused_at_construction(url: str) -> None:
    with pytest.raises(ValueError, match="https://example"):
        Webhook(url)


def test_secret_in_url_is_not_in_errors_or_logs(
    hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")  # other libraries log like this
    secret = "T0P-S3CRET"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://us:{secret}@127.0.0.1:{closed.getsockname()[1]}/{secret}"
        failures = [failure(nowhere)]
    hook.status = 500
    failures.append(failure(f"{hook.url}/{secret}"))
    failures.append(failure(f"{hook.url}/{secret}", allow_internal=False))
    hook.status, hook.headers = 302, {"Location": f"/{secret}"}
    failures.append(failure(f"{hook.url}/{secret}"))
    hook.status, hook.headers = 400, {"X-One": "1\r\nno header at all"}
    failures.append(failure(f"{hook.url}/{secret}"))
    for refused in failures:
        assert secret not in repr(refused) + refused.detail
        assert refused.__cause__ is None
    assert secret not in caplog.text


def test_untrusted_certificate_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(tls=server_context(certificate)) as hook:
        assert failure(hook.url).detail == "the TLS connection is not trusted"
        assert hook.requests == []
        monkeypatch.setenv("MONITOR_TLS_CA_FILE", str(certificate))
        Webhook(hook.url, allow_internal=True).send(MESSAGE)
        assert len(hook.requests) == 1


def test_certificate_of_another_name_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITOR_TLS_CA_FILE", str(certificate))
    resolve = socket.getaddrinfo
    place = ("127.0.0.1", 0)

    def found(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "hook.example.org":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with receiver(tls=server_context(certificate)) as hook:
        url = hook.url.replace("127.0.0.1", "hook.example.org")
        assert failure(url).detail == "the TLS connection is not trusted"
        assert hook.requests == []
