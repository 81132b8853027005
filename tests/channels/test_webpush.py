"""Web Push against a local push service; messages are decrypted with the browser's keys."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from monitor.channels.interface import Message, SendFailed
from monitor.channels.webpush import (
    BadSubscription,
    Identity,
    Subscription,
    WebPush,
    contact,
    make_key,
)
from monitor.model import DAY, SECOND
from tests.channels.messages import NOW, message_about, sensor
from tests.push import Browser, encoded, signed_claims
from tests.receiver import Receiver, receiver

IDENTITY = Identity(make_key(), "mailto:ops@example.org")
DOWN = message_about("down", sensor(0x02000000000A, name="Boiler"))


@pytest.fixture
def push_service() -> Iterator[Receiver]:
    with receiver() as service:
        service.status = 201
        yield service


@pytest.fixture
def browser(push_service: Receiver) -> Browser:
    return Browser(push_service.url)


def send(browser: Browser, message: Message = DOWN) -> None:
    WebPush("browser", browser.subscription, IDENTITY, allow_internal=True).send(message)


def failure(browser: Browser, allow_internal: bool = True) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        WebPush("browser", browser.subscription, IDENTITY, allow_internal).send(DOWN)
    return caught.value


def test_only_the_browser_can_decrypt_the_message(push_service: Receiver, browser: Browser) -> None:
    send(browser)
    (request,) = push_service.requests
    assert b"Boiler" not in request.body
    content = browser.read(request)
    assert content["title"] == "Boiler at Harbour silent since 2026-11-23 14:03:00 UTC"
    assert "last seen 2026-11-23 14:03:00 UTC" in content["body"]
    assert content["url"] == "https://monitor.example.org/sensors/02:00:00:00:00:0a"
    assert content["kind"] == "down"
    assert content.keys() == {"title", "body", "url", "kind", "tag"}


def test_request_is_signed_with_the_vapid_key(push_service: Receiver, browser: Browser) -> None:
    send(browser)
    (request,) = push_service.requests
    claims = signed_claims(request, IDENTITY.public_key)
    parts = urlsplit(push_service.url)
    assert claims["aud"] == f"http://{parts.netloc}"
    assert claims["sub"] == "mailto:ops@example.org"
    assert 0 < claims["exp"] - time.time() < DAY // SECOND


def test_request_has_urgency_and_topic(push_service: Receiver, browser: Browser) -> None:
    send(browser)
    send(browser, message_about("recovered", sensor(0x02000000000A, recovered_at=NOW)))
    send(browser, DOWN._replace(thread="another"))
    down, recovered, other = (request.headers for request in push_service.requests)
    assert (down["Urgency"], recovered["Urgency"]) == ("high", "normal")
    assert down["TTL"] == "86400"
    assert down["Topic"] == recovered["Topic"] != other["Topic"]
    assert len(down["Topic"]) == 32
    tags = [browser.read(request)["tag"] for request in push_service.requests]
    assert tags[0] == tags[1] != tags[2]


@pytest.mark.parametrize("filling", ["x", "ä", '"', "🔥"])
def test_long_message_is_truncated_to_the_push_limit(
    push_service: Receiver, browser: Browser, filling: str
) -> None:
    text = "The subject.\n\n" + filling * 5_000
    send(browser, DOWN._replace(text=text, subject=filling * 5_000))
    (request,) = push_service.requests
    assert len(request.body) < 3_052
    content = browser.read(request)
    assert content["title"] == filling * 200
    assert content["body"].endswith("…")


@pytest.mark.parametrize("status", [404, 410])
def test_expired_subscription_raises_gone(
    push_service: Receiver, browser: Browser, status: int
) -> None:
    push_service.status = status
    failed = failure(browser)
    assert failed.gone
    assert failed.permanent
    assert failed.detail == "the browser has unsubscribed"


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (403, True), (413, True), (429, False), (503, False)]
)
def test_other_refusals_keep_the_subscription(
    push_service: Receiver, browser: Browser, status: int, permanent: bool
) -> None:
    push_service.status, push_service.headers = status, {"Retry-After": "120"}
    failed = failure(browser)
    assert not failed.gone
    assert failed.permanent is permanent
    assert failed.retry_after == (None if permanent else 120 * SECOND)


def test_nothing_is_sent_to_an_internal_address(push_service: Receiver, browser: Browser) -> None:
    assert "internal" in failure(browser, allow_internal=False).detail
    assert push_service.requests == []


def test_redirects_are_not_followed(push_service: Receiver, browser: Browser) -> None:
    push_service.status, push_service.headers = 307, {"Location": push_service.url}
    assert failure(browser).permanent
    assert len(push_service.requests) == 1


def test_channel_name_is_stable_and_hides_the_endpoint() -> None:
    browser = Browser("https://push.example.org/secret-path").subscription
    assert browser.channel == "browser-" + browser.channel[8:]
    assert len(browser.channel) == 16
    assert browser.channel != Subscription("https://push.example.org/other", "", "").channel
    assert browser.origin == "https://push.example.org"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "http://push.example.org/x"),
        ("endpoint", "https:///x"),
        ("endpoint", "https://push.example.org:port/x"),
        ("endpoint", "https://user@push.example.org/x"),
        ("endpoint", "https://push.example.org/" + "x" * 2_000),
        ("p256dh", ""),
        ("p256dh", encoded(b"\4" + bytes(64))),
        ("p256dh", "ä" * 87),
        ("auth", encoded(bytes(15))),
        ("auth", "!" * 22),
    ],
)
def test_invalid_subscription_is_refused(field: str, value: str) -> None:
    good = Browser("https://push.example.org/x").subscription
    good.check()
    with pytest.raises(BadSubscription) as caught:
        good._replace(**{field: value}).check()
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("base_url", "sender", "expected"),
    [
        ("https://m.example.org:8443/x", "Monitor <m@example.org>", "mailto:m@example.org"),
        ("https://m.example.org:8443/x", "", "https://m.example.org"),
        ("http://127.0.0.1:8000", "", "mailto:heartbeat-monitor@localhost"),
    ],
)
def test_vapid_claims_name_a_contact(base_url: str, sender: str, expected: str) -> None:
    assert contact(base_url, sender) == expected
