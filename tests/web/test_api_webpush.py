"""Browsers that subscribe by the API."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from monitor.channels.webpush import own_key
from monitor.clock import Clock
from monitor.state import channels
from monitor.state.database import reading, writing
from monitor.vault import Vault
from monitor.web.api import webpush
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


def api_of(state: Engine, vault: Vault = VAULT, role: str = "viewer") -> Api:
    return apis(state, [webpush.blueprint(state, vault, Clock(), CONTACT)])[role]


@pytest.fixture
def api(state: Engine) -> Api:
    return api_of(state)


def stored(state: Engine) -> list[channels.Stored]:
    with reading(state) as connection:
        return channels.load(connection, VAULT)


def secrets_of(state: Engine, browser: Browser) -> dict[str, str]:
    return {**browser.subscription._asdict(), "key": own_key(state, VAULT)}


def test_all_browsers_subscribe_with_one_public_key(state: Engine, api: Api) -> None:
    (first, second) = (api.call("GET", "/webpush/key").get_json() for _ in range(2))
    assert first == second
    point = decoded(first["public_key"])
    assert (len(point), point[0]) == (65, 4)


def test_a_browser_that_subscribes_becomes_a_default_channel(state: Engine, api: Api) -> None:
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


def test_a_browser_that_subscribes_again_stays_one_channel_with_its_latest_keys(
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


def test_a_browser_that_unsubscribes_is_owed_nothing(state: Engine, api: Api) -> None:
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
def test_what_is_no_subscription_is_refused(
    state: Engine, api: Api, body: dict[str, Any], field: str
) -> None:
    named, detail = api.refused(400, "POST", PATH, body)
    assert named == field
    assert "push.example.org/x" not in detail
    assert stored(state) == []


def test_nobody_takes_over_the_name_of_another_browser(
    state: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush.Subscription, "channel", "browser-00000000")
    api.call("POST", PATH, ANNA.as_json())
    api.refused(409, "POST", PATH, Browser("https://push.example.org/mallory").as_json())
    assert [each.secrets for each in stored(state)] == [secrets_of(state, ANNA)]


def test_browsers_are_limited_in_number(
    state: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush, "MOST", 1)
    api.call("POST", PATH, ANNA.as_json())
    api.refused(409, "POST", PATH, Browser("https://push.example.org/bob").as_json())
    assert api.call("POST", PATH, ANNA.as_json()).status_code == 200


def test_a_key_that_cannot_be_read_is_not_replaced(state: Engine) -> None:
    own_key(state, OTHER)
    api = api_of(state)
    assert "another secret key" in api.refused(503, "GET", "/webpush/key")[1]
    api.refused(503, "POST", PATH, ANNA.as_json())


def test_sensors_tokens_subscribe_nobody(state: Engine) -> None:
    api = api_of(state, role="ingest")
    api.refused(403, "GET", "/webpush/key")
    api.refused(403, "POST", PATH, ANNA.as_json())
    api.refused(403, "DELETE", PATH, {"endpoint": "x"})
