"""Requests to other hosts through a proxy."""

from pathlib import Path

import pytest

from monitor.channels import http
from monitor.channels.interface import SendFailed
from monitor.outgoing.http import client_options, proxy_for
from tests.certificates import Authority, server_context
from tests.outgoing.proxy import proxy
from tests.receiver import receiver

NAME = "receiver.test"
"""A name that only the proxy can resolve."""


@pytest.fixture(autouse=True)
def _no_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("variable", ["MONITOR_OUTGOING_PROXY", "HTTPS_PROXY", "https_proxy"])
def test_request_over_tls_goes_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, variable: str
) -> None:
    authority.issue(tmp_path / "server.crt", NAME)
    monkeypatch.setenv("MONITOR_TLS_CA_FILE", str(authority.certificate))
    with proxy() as through, receiver(server_context(tmp_path / "server.crt")) as hook:
        monkeypatch.setenv(variable, through.url.replace("://", "://me:s%2F3@"))
        url = hook.url.replace("127.0.0.1", NAME)
        assert http.post(url, b"{}", {}).status == 204
        assert len(hook.requests) == 1
        host = url.split("/")[2]
        assert through.requests == [f"CONNECT {host}"]
        assert through.logins == ["Basic bWU6cy8z"]


def test_request_without_tls_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as through, receiver() as hook:
        monkeypatch.setenv("HTTP_PROXY", through.url)
        url = hook.url.replace("127.0.0.1", NAME)
        assert http.get(url, {}).status == 204
        assert through.requests == [f"GET {url}"]


def test_internal_address_is_refused_without_contacting_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxy() as through:
        monkeypatch.setenv("MONITOR_OUTGOING_PROXY", through.url)
        with pytest.raises(SendFailed, match="internal"):
            http.get("http://10.0.0.1/", {})
        assert through.requests == []


def test_proxy_that_does_not_answer_is_named_without_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MONITOR_OUTGOING_PROXY", "http://me:s3cret@127.0.0.1:9")
    with pytest.raises(SendFailed) as caught:
        http.get(f"https://{NAME}/", {})
    assert caught.value.detail == "no connection through the proxy"


def test_this_machine_and_excepted_hosts_are_contacted_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MONITOR_OUTGOING_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "example.org,10.0.0.0/8")
    for url in ("http://localhost:8086", "http://127.0.0.2", "https://[::1]:8086"):
        assert proxy_for(url) is None
    for url in ("https://influxdb.example.org:8086", "http://10.1.2.3"):
        assert proxy_for(url) is None
    assert proxy_for("https://example.com") == "http://proxy.test:3128"


def test_influxdb_client_logs_in_to_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITOR_OUTGOING_PROXY", "http://me:s%2F3@proxy.test:3128")
    options = client_options("http://influxdb.test:8086")
    assert options["proxy"] == "http://me:s%2F3@proxy.test:3128"
    assert options["proxy_headers"] == {"proxy-authorization": "Basic bWU6cy8z"}
