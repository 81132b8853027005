"""Subscriptions of browsers in the API."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from monitor.channels.webpush import Subscription, own_key
from monitor.services import browsers as browsers_service
from monitor.state import channels
from monitor.state.database import reading, writing
from monitor.vault import Vault
from tests.outages import Outages
from tests.push import Browser, decoded
from tests.states import state, state_url
from tests.web.api_client import Api, apis

__all__ = ["state", "state_url"]

VAULT = Vault("a key of at least thirty-two characters")
OTHER = Vault("another key of at least 32 characters!")
CONTACT = "mailto:ops@example.org"
PATH = "/webpush/subscriptions"
ANNA = Browser("https://push.example.org/anna")


def api_of(
    state: Engine, vault: Vault = VAULT, role: str = "viewer", allow_internal: bool = False
) -> Api:
    return apis(state, vault=vault, contact=CONTACT, allow_internal=allow_internal)[role]


@pytest.fixture
def api(state: Engine) -> Api:
    return api_of(state)


def stored(state: Engine) -> list[channels.Stored]:
    with reading(state) as connection:
        return channels.load(connection, VAULT)


def secrets_of(state: Engine, browser: Browser) -> dict[str, str]:
    return {**browser.subscription._asdict(), "key": own_key(state, VAULT)}


def test_all_browsers_get_the_same_public_key(state: Engine, api: Api) -> None:
    (first, second) = (api.call("GET", "/webpush/key").get_json() for _ in range(2))
    assert first == second
    point = decoded(first["public_key"])
    assert (len(point), point[0]) == (65, 4)


def test_subscribed_browser_becomes_a_default_channel(state: Engine, api: Api) -> None:
    answer = api.call("POST", PATH, ANNA.as_json())
    assert answer.status_code == 201
    (channel,) = stored(state)
    assert answer.get_json() == {"name": channel.name} == {"name": ANNA.subscription.channel}
    assert (channel.kind, channel.is_default, channel.enabled) == ("webpush", True, True)
    assert channel.settings == {
        "contact": CONTACT,
        "push_service": "https://push.example.org",
        "subscribed_by": "viewer",
    }
    assert channel.secrets == secrets_of(state, ANNA)


def test_browser_that_subscribes_again_remains_one_channel_with_new_keys(
    state: Engine, api: Api
) -> None:
    api.call("POST", PATH, ANNA.as_json())
    with writing(state) as connection:
        (channel,) = channels.load(connection, VAULT)
        channels.save(connection, VAULT, replace(channel, is_default=False))
    later = Browser(ANNA.subscription.endpoint)
    assert api.call("POST", PATH, later.as_json()).status_code == 200
    (channel,) = stored(state)
    assert channel.secrets == secrets_of(state, later)
    assert not channel.is_default


def test_unsubscribing_removes_the_channel_and_cancels_its_messages(
    state: Engine, api: Api
) -> None:
    api.call("POST", PATH, ANNA.as_json())
    outages = Outages(state, [ANNA.subscription.channel])
    outages.down(1)
    endpoint = {"endpoint": ANNA.subscription.endpoint}
    assert api.call("DELETE", PATH, endpoint).status_code == 204
    assert stored(state) == []
    assert outages.ledger() == [("down", "cancelled", "the browser unsubscribed")]
    assert api.refused(404, "DELETE", PATH, endpoint)[0] == "endpoint"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"endpoint": "http://push.example.org/x", "keys": ANNA.as_json()["keys"]}, "endpoint"),
        ({"endpoint": "https://push.example.org/x"}, "keys"),
        ({**ANNA.as_json(), "keys": {"p256dh": "AA", "auth": "A" * 22}}, "keys.p256dh"),
        ({**ANNA.as_json(), "keys": {**ANNA.as_json()["keys"], "auth": "AA"}}, "keys.auth"),
    ],
)
def test_invalid_subscription_is_refused_and_the_field_named(
    state: Engine, api: Api, body: dict[str, Any], field: str
) -> None:
    named, detail = api.refused(400, "POST", PATH, body)
    assert named == field
    assert "push.example.org/x" not in detail
    assert stored(state) == []


def test_channel_name_of_another_browser_is_refused(
    state: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Subscription, "channel", "browser-00000000")
    api.call("POST", PATH, ANNA.as_json())
    api.refused(409, "POST", PATH, Browser("https://push.example.org/mallory").as_json())
    assert [each.secrets for each in stored(state)] == [secrets_of(state, ANNA)]


def test_number_of_browsers_is_limited(
    state: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsers_service, "MOST", 1)
    api.call("POST", PATH, ANNA.as_json())
    bob = Browser("https://push.example.org/bob")
    field, detail = api.refused(409, "POST", PATH, bob.as_json())
    assert (field, detail) == ("endpoint", "1 browsers are subscribed, which is the limit")
    assert api.call("POST", PATH, ANNA.as_json()).status_code == 200


def test_number_of_browsers_of_one_user_is_limited(state: Engine) -> None:
    by_role = apis(state, allow_internal=False)
    viewer, operator = by_role["viewer"], by_role["operator"]
    browsers = [Browser(f"https://push.example.org/{number}") for number in range(11)]
    for browser in browsers[:10]:
        assert viewer.call("POST", PATH, browser.as_json()).status_code == 201
    field, detail = viewer.refused(409, "POST", PATH, browsers[10].as_json())
    assert field == "endpoint"
    assert detail.startswith("10 browsers of viewer are subscribed, which is the limit")
    assert operator.call("POST", PATH, browsers[10].as_json()).status_code == 201
    assert viewer.call("POST", PATH, browsers[3].as_json()).status_code == 200
    viewer.call("DELETE", PATH, {"endpoint": browsers[3].subscription.endpoint})
    assert viewer.call("POST", PATH, browsers[3].as_json()).status_code == 201


def test_concurrent_subscriptions_do_not_exceed_the_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsers_service, "MOST_OF_ONE", 2)
    api.call("GET", "/webpush/key")

    def subscribed(number: int) -> int:
        browser = Browser(f"https://push.example.org/{number}")
        return api.call("POST", PATH, browser.as_json()).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(subscribed, range(8))) == [201] * 2 + [409] * 6


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]:8443", "192.0.0.8", "169.254.169.254", "2130706433"]
)
def test_internal_endpoint_is_refused(state: Engine, api: Api, host: str) -> None:
    inside = Browser(f"https://{host}/push")
    expected = ("endpoint", "must not lead to an internal address")
    assert api.refused(400, "POST", PATH, inside.as_json()) == expected
    assert stored(state) == []


def test_internal_endpoint_is_accepted_if_the_settings_allow_it(state: Engine) -> None:
    inside = Browser("https://127.0.0.1/push")
    api = api_of(state, allow_internal=True)
    assert api.call("POST", PATH, inside.as_json()).status_code == 201


def test_unreadable_key_is_not_replaced(state: Engine) -> None:
    own_key(state, OTHER)
    api = api_of(state)
    assert "another secret key" in api.refused(503, "GET", "/webpush/key")[1]
    api.refused(503, "POST", PATH, ANNA.as_json())


def test_ingest_token_cannot_subscribe(state: Engine) -> None:
    api = api_of(state, role="ingest")
    api.refused(403, "GET", "/webpush/key")
    api.refused(403, "POST", PATH, ANNA.as_json())
    api.refused(403, "DELETE", PATH, {"endpoint": "x"})
