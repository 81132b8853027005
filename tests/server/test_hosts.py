"""Which Host headers are accepted."""

import pytest

from monitor.server.hosts import TrustedHosts, is_name

NAMES = (
    "Example.org",
    ".below.example",
    "10.0.0.5",
    "::1",
    "[fd00:0::1]:8000",
    "m\u00fcller.example",
    "monitor_web",
)


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "EXAMPLE.org:8000",
        "below.example",
        "a.b.Below.example:1",
        "10.0.0.5:65535",
        "[::1]",
        "[::1]:8000",
        "[0:0:0:0:0:0:0:1]:8000",
        "[FD00::1]",
        "xn--mller-kva.example",
        "monitor_web:8000",
    ],
)
def test_accepted(host: str) -> None:
    assert TrustedHosts(NAMES).trusts(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.org.evil",
        "evil-example.org",
        "sub.example.org",
        "notbelow.example",
        "example.org:0",
        "example.org:65536",
        "example.org:",
        "example.org:80:80",
        "example.org/",
        "user@example.org",
        "::1",
        "[::2]",
        "[::1",
        "[]",
        "[::1]evil",
        "10.0.0.50",
        "example.org, evil.example",
    ],
)
def test_refused(host: str) -> None:
    assert not TrustedHosts(NAMES).trusts(host)


def test_without_names_every_host_is_accepted() -> None:
    assert TrustedHosts(()).trusts("any.example")
    assert TrustedHosts(()).trusts("")


@pytest.mark.parametrize("name", NAMES)
def test_usable_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "*", "*.example.org", "https://example.org", "example.org/", "[::1", "a b", "a@b"]
)
def test_names_that_no_header_can_have(name: str) -> None:
    assert not is_name(name)
