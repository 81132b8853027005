"""How the server handles requests before the app sees them; requests are sent as raw bytes."""

import socket
from collections.abc import Iterator

import pytest

from tests.service import Service

SECRET = "hbm_c2VjcmV0IG9mIHRoZSBiZWFyZXI"
FIRST = f"GET /password/{SECRET} HTTP/1.1\r\nHost: localhost\r\n"

MALFORMED = {
    "a space too many": f"GET /password/{SECRET} x HTTP/1.1\r\n\r\n",
    "no method": f"/acknowledge/{SECRET}\r\n\r\n",
    "no request line": f"Authorization: Bearer {SECRET}\r\n\r\n",
    "lower-case method": f"get/{SECRET} /acknowledge/{SECRET} HTTP/1.1\r\n\r\n",
    "version": f"GET /acknowledge/{SECRET} HTTP/{SECRET}\r\n\r\n",
    "unknown version": f"GET /acknowledge/{SECRET} HTTP/7.0\r\n\r\n",
    "no colon": f"{FIRST}Authorization Bearer {SECRET}\r\n\r\n",
    "space before the colon": f"{FIRST}Authorization : Bearer {SECRET}\r\n\r\n",
    "name": f"{FIRST}Bearer {SECRET}: yes\r\n\r\n",
    "folded": f"{FIRST}Authorization: Bearer\r\n {SECRET}\r\n\r\n",
    "control character": f"{FIRST}Authorization: Bearer {SECRET}\x00\r\n\r\n",
    "length": f"{FIRST}Content-Length: {SECRET}\r\n\r\n",
    "coding": f"{FIRST}Transfer-Encoding: {SECRET}\r\n\r\n",
    "expectation": f"{FIRST}Expect: {SECRET}\r\n\r\n",
    "chunk": f"POST /password/{SECRET} HTTP/1.1\r\nHost: localhost\r\n"
    f"Transfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
    "long line": f"GET /acknowledge/{SECRET}{'x' * 9000} HTTP/1.1\r\n\r\n",
    "long header": f"{FIRST}Authorization: Bearer {SECRET}{'x' * 9000}\r\n\r\n",
    "many headers": FIRST + f"Authorization: Bearer {SECRET}\r\n" * 200 + "\r\n",
    "half an address": f"GET http://[::1/password/{SECRET} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not UTF-8": f"GET /password/{SECRET}\xff HTTP/1.1\r\nHost: \xff\r\n\r\n",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # gunicorn's variable must not enable what the settings leave disabled.
    with Service(tmp_path_factory.mktemp("service"), FORWARDED_ALLOW_IPS="*") as service:
        service.ready()
        yield service


def answered(service: Service, request: str) -> str:
    with socket.create_connection(("127.0.0.1", service.port), 30) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:  # it did not read the whole request
            pass
    return answer.decode("latin-1")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("request_text", MALFORMED.values(), ids=MALFORMED)
def test_content_of_a_refused_request_is_not_in_logs_or_answers(
    service: Service, request_text: str
) -> None:
    answer = answered(service, request_text)
    assert SECRET not in answer
    assert answer.startswith(("HTTP/1.1 4", "HTTP/1.1 501 ", "HTTP/1.1 505 ")), answer
    log = service.log.read_text("utf-8", "replace")
    assert SECRET not in log
    assert "Traceback" not in log


def test_log_names_the_error_and_the_client(service: Service) -> None:
    answered(service, MALFORMED["no colon"])
    log = service.log.read_text("utf-8", "replace")
    assert "request from 127.0.0.1 refused: the request is malformed" in log


@pytest.mark.parametrize("header", ["SCRIPT_NAME", "Script-Name", "PATH_INFO"])
def test_client_cannot_set_the_path_prefix(service: Service, header: str) -> None:
    request = f"GET /elsewhere/healthz HTTP/1.0\r\nHost: localhost\r\n{header}: /elsewhere\r\n\r\n"
    assert answered(service, request).startswith("HTTP/1.1 404 ")


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-Protocol"])
def test_client_cannot_set_the_scheme(service: Service, header: str) -> None:
    request = (
        f"POST /login HTTP/1.0\r\nHost: localhost:{service.port}\r\n{header}: https\r\n"
        f"Origin: https://localhost:{service.port}\r\nContent-Length: 0\r\n\r\n"
    )
    assert f"came from a page of https://localhost:{service.port}" in answered(service, request)
