"""X-Forwarded-* headers are used from named proxies only."""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from monitor.server.forwarded import LOOPBACK, FromProxies
from tests.server.serving import BEAT, curl, web
from tests.service import Service

pytestmark = pytest.mark.timeout(120)

USED, DROPPED = [403, 403, 403, 403], [403, 403, 403, 429]
"""Statuses of four wrong passwords, two for each address in X-Forwarded-For."""
WARNING = "the X-Forwarded headers of 127.0.0.1 are not used"
FORWARDED = {
    "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_X_FORWARDED_PREFIX": "/evil",
    "HTTP_FORWARDED": "for=192.0.2.1",
}


def wrong_passwords(service: Service, *options: str) -> list[int]:
    jar = str(service.directory / "cookies")
    cookies = (*options, "-b", jar, "-c", jar)
    statuses = []
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"):
        _, page = curl(f"{service.url}/login", *cookies)
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
        assert token is not None, page
        form = {"csrf_token": token[1], "name": "anna", "password": "wrong"}
        fields = [part for name in form for part in ("--data-urlencode", f"{name}={form[name]}")]
        headers = ("-H", f"X-Forwarded-For: {address}", "-H", f"Origin: {service.url}")
        statuses.append(curl(f"{service.url}/login", *cookies, *fields, *headers)[0])
    return statuses


@pytest.mark.parametrize(
    ("proxies", "addresses", "expected"),
    [
        (1, "", USED),
        (1, "192.0.2.9, 127.0.0.0/8", USED),
        (1, "192.0.2.9", DROPPED),
        (0, "", DROPPED),
    ],
)
def test_client_address_comes_from_named_proxies(
    tmp_path: Path, proxies: int, addresses: str, expected: list[int]
) -> None:
    variables: dict[str, object] = {
        "MONITOR_SERVER_WORKERS": 1,
        "MONITOR_SERVER_PROXIES": proxies,
        "MONITOR_SERVER_PROXY_ADDRESSES": addresses,
    }
    with web(tmp_path, "http://127.0.0.1:{port}", **variables) as service:
        assert wrong_passwords(service) == expected
        # Once, though the headers arrived four times, and only if there should be proxies.
        assert service.tail().count(WARNING) == (proxies and expected is DROPPED)


def test_clients_of_a_unix_socket_are_proxies(tmp_path: Path) -> None:
    path = tmp_path / "monitor.sock"
    by = ("--unix-socket", str(path))
    variables: dict[str, object] = {
        "MONITOR_SERVER_HOST": f"unix:{path}",
        "MONITOR_SERVER_BASE_URL": "http://localhost",
        "MONITOR_SERVER_PROXIES": 1,
        "MONITOR_SERVER_PROXY_ADDRESSES": "192.0.2.9",
    }
    with web(tmp_path, "http://localhost", *by, **variables) as service:
        assert wrong_passwords(service, *by) == USED


def test_base_url_names_the_service_beside_other_names(tmp_path: Path) -> None:
    settings: dict[str, object] = {
        "MONITOR_SERVER_BASE_URL": "https://Monitor.example.org",
        "MONITOR_SERVER_HOSTS": "other.example.org",
        "MONITOR_SERVER_PROXIES": 1,
    }
    with web(tmp_path, "http://127.0.0.1:{port}", **settings) as service:
        for name in ("monitor.example.ORG", "Other.example.org:443", "localhost", "[::1]"):
            host = ("-H", f"Host: {name}")
            assert curl(f"{service.url}/login", *host)[0] == 200, name
            assert curl(f"{service.url}/heartbeat", *BEAT, *host)[0] == 200, name
        unknown = ("-H", "Host: 10.1.2.3:8000")
        assert curl(f"{service.url}/login", *unknown)[0] == 400
        assert curl(f"{service.url}/heartbeat", *BEAT, *unknown)[0] == 421
        assert curl(f"{service.url}/healthz", *unknown)[0] == 200
        assert curl(f"{service.url}/readyz", *unknown)[0] == 503  # nothing judges here


class Seen:
    """A WSGI application that keeps the names of headers."""

    names: set[str]

    def __call__(self, environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        self.names = {each for each in environ if each.startswith("HTTP_")}
        return []


@pytest.mark.parametrize(
    ("peer", "named"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("", True),
        ("10.0.0.5", False),
        ("::2", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_is_named_by_default(peer: str, named: bool) -> None:
    assert kept_from(FromProxies(seen := Seen(), LOOPBACK), seen, peer) is named


@pytest.mark.parametrize(("peer", "named"), [("10.9.9.9", True), ("fd00::1", True), ("::1", False)])
def test_networks_of_both_versions(peer: str, named: bool) -> None:
    networks = [ip_network("10.0.0.0/8"), ip_network("fd00::/64")]
    assert kept_from(FromProxies(seen := Seen(), networks), seen, peer) is named


def kept_from(application: FromProxies, seen: Seen, peer: str) -> bool:
    """Whether the headers are kept; all are, or none is, and others always are."""
    application({**FORWARDED, "HTTP_ACCEPT": "*/*", "REMOTE_ADDR": peer}, None)
    assert seen.names in ({"HTTP_ACCEPT"}, {"HTTP_ACCEPT", *FORWARDED})
    return len(seen.names) > 1
