"""Channels in the API: created, changed and tested, without revealing their secrets."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from monitor.channels import kinds
from monitor.channels.webhook import Webhook
from monitor.outbox.catalogue import default_budget
from monitor.state import channels, routes
from monitor.state.channels import Stored
from monitor.state.database import reading, writing
from monitor.state.routing import RouteRow
from monitor.state.tables import channel_health
from monitor.vault import Vault
from tests.outages import Outages
from tests.push import Browser
from tests.receiver import Receiver, receiver
from tests.states import state, state_url
from tests.web.api_client import Api, apis

__all__ = ["state", "state_url"]

VAULT = Vault("a key of at least thirty-two characters")
OTHER = Vault("another key of at least 32 characters!")
PAGER = {
    "name": "pager",
    "kind": "alertmanager",
    "settings": {"urls": ["https://am.example.org"]},
    "secrets": {"bearer_token": "confidential"},
}


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as hook:
        yield hook


def by_role(state: Engine, hook: Receiver, allow_internal: bool = True) -> dict[str, Api]:
    of_settings = {"webhook": Webhook(hook.url, allow_internal=True)}
    return apis(state, vault=VAULT, own_channels=of_settings, allow_internal=allow_internal)


@pytest.fixture
def api(state: Engine, hook: Receiver) -> Api:
    return by_role(state, hook)["administrator"]


def stored(state: Engine, name: str = "pager") -> Stored:
    with reading(state) as connection:
        found = channels.find(connection, VAULT, name)
    assert found is not None
    return found


def test_channel_is_added_and_listed_without_its_secrets(state: Engine, api: Api) -> None:
    added = api.call("POST", "/channels", PAGER)
    assert added.status_code == 201
    shape = added.get_json()
    created_at = shape.pop("created_at")
    assert shape == {
        "name": "pager",
        "kind": "alertmanager",
        "from_settings": False,
        "settings": {"urls": ["https://am.example.org"]},
        "secrets": {"password": "not set", "bearer_token": "set"},
        "enabled": True,
        "is_default": False,
        "budget": None,
        "problem": None,
        "health": None,
    }
    assert stored(state).secrets == {"bearer_token": "confidential"}
    assert api.call("GET", "/channels/pager").get_json() == {**shape, "created_at": created_at}
    listed = api.call("GET", "/channels")
    assert "confidential" not in added.text + listed.text
    of_settings, pager = listed.get_json()["channels"]
    assert (of_settings["name"], of_settings["from_settings"]) == ("webhook", True)
    assert pager["name"] == "pager"


def test_patch_changes_only_the_given_fields(state: Engine, api: Api) -> None:
    api.call("POST", "/channels", PAGER)
    changed = api.call(
        "PATCH",
        "/channels/pager",
        {
            "settings": {"urls": ["https://b.example.org"]},
            "is_default": True,
            "budget": 5,
            "enabled": False,
        },
    )
    assert changed.status_code == 200, changed.text
    now = stored(state)
    assert now.settings == {"urls": ["https://b.example.org"]}
    assert now.secrets == {"bearer_token": "confidential"}
    assert (now.is_default, now.budget, now.enabled) == (True, 5, False)
    api.call(
        "PATCH",
        "/channels/pager",
        {
            "settings": {"username": "ops"},
            "secrets": {"bearer_token": None, "password": "confidential"},
            "budget": None,
        },
    )
    now = stored(state)
    assert now.settings == {"urls": ["https://b.example.org"], "username": "ops"}
    assert now.secrets == {"password": "confidential"}
    assert now.budget is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "browsers"}, "name"),
        ({"name": "browser-01234567"}, "name"),
        ({"name": "email"}, "name"),
        ({"kind": "pigeon"}, "kind"),
        ({"kind": "webpush"}, "kind"),
        ({"settings": {}}, "settings.urls"),
        ({"settings": {"urls": [1]}}, "settings.urls[0]"),
        ({"settings": {"urls": ["nowhere"]}}, "settings.urls"),
        ({"settings": {**PAGER["settings"], "colour": "red"}}, "settings.colour"),  # type: ignore[dict-item]
        ({"secrets": {"bearer_token": 5}}, "secrets.bearer_token"),
        ({"secrets": {"confidential": "confidential"}}, "secrets.confidential"),
        ({"budget": 0}, "budget"),
        ({"enabled": "yes"}, "enabled"),
    ],
)
def test_invalid_channel_is_refused_and_the_field_named(
    state: Engine, api: Api, change: dict[str, Any], field: str
) -> None:
    named, _ = api.refused(400, "POST", "/channels", PAGER | change)
    assert named == field
    with reading(state) as connection:
        assert channels.names(connection) == set()


def test_patch_that_makes_a_channel_invalid_is_refused(state: Engine, api: Api) -> None:
    api.call("POST", "/channels", PAGER)
    before = stored(state)
    change = {"settings": {"urls": None}, "enabled": False}
    assert api.refused(400, "PATCH", "/channels/pager", change)[0] == "settings.urls"
    assert stored(state) == before


def test_metered_channels_have_a_default_budget(api: Api) -> None:
    for name, kind in kinds.KINDS.items():
        assert default_budget(name) == (50 if kind.metered else None)
    assert api.call("POST", "/channels", PAGER | {"budget": 3}).get_json()["budget"] == 3


def test_name_in_use_returns_409_and_unknown_name_404(api: Api) -> None:
    api.call("POST", "/channels", PAGER)
    assert api.refused(409, "POST", "/channels", PAGER)[0] == "name"
    for method, path in (
        ("GET", "/channels/x"),
        ("PATCH", "/channels/x"),
        ("DELETE", "/channels/x"),
        ("POST", "/channels/x/test"),
    ):
        api.refused(404, method, path, {})


def test_channels_of_the_settings_cannot_be_changed(api: Api) -> None:
    assert "settings" in api.refused(409, "PATCH", "/channels/webhook", {"enabled": False})[1]
    api.refused(409, "DELETE", "/channels/webhook")
    assert api.call("GET", "/channels/webhook").get_json()["from_settings"] is True


def test_channel_of_another_secret_key_is_broken_and_can_be_repaired(
    state: Engine, api: Api
) -> None:
    with writing(state) as connection:
        secrets = {"bearer_token": "confidential"}
        settings = {"urls": ["https://am.example.org"]}
        channels.add(connection, OTHER, Stored("pager", "alertmanager", settings, secrets))
    assert "another secret key" in api.call("GET", "/channels/pager").get_json()["problem"]
    kept = api.call("PATCH", "/channels/pager", {"is_default": True}).get_json()
    assert kept["problem"] is not None
    repaired = api.call("PATCH", "/channels/pager", {"secrets": {"bearer_token": "new"}}).get_json()
    assert repaired["problem"] is None
    assert stored(state).secrets == {"bearer_token": "new"}


def test_removal_cancels_messages_and_is_refused_while_a_route_uses_it(
    state: Engine, api: Api
) -> None:
    api.call("POST", "/channels", PAGER)
    with writing(state) as connection:
        routes.add(connection, RouteRow("night", [], ["pager"], [], None))
    assert "night" in api.refused(409, "DELETE", "/channels/pager")[1]
    with writing(state) as connection:
        routes.remove(connection, "night")
    outages = Outages(state, ["pager"])
    outages.down(1)
    assert api.call("DELETE", "/channels/pager").status_code == 204
    assert outages.ledger() == [("down", "cancelled", "the channel was removed")]


def test_health_of_a_channel_is_returned(state: Engine, api: Api) -> None:
    with writing(state) as connection:
        values = {"name": "webhook", "sent_at": 0, "failing_since": 1_000, "error": "answer 500"}
        connection.execute(insert(channel_health).values(**values, error_at=2_000))
    assert api.call("GET", "/channels/webhook").get_json()["health"] == {
        "sent_at": "1970-01-01T00:00:00.000Z",
        "failing_since": "1970-01-01T00:00:01.000Z",
        "error": "answer 500",
        "error_at": "1970-01-01T00:00:02.000Z",
    }


def test_test_message_is_sent_at_once_and_its_result_returned(api: Api, hook: Receiver) -> None:
    api.call("POST", "/channels", PAGER | {"settings": {"urls": [hook.url]}})
    for name in ("pager", "webhook"):
        answer = api.call("POST", f"/channels/{name}/test").get_json()
        assert answer == {"sent": True, "error": None}
    assert len(hook.requests) == 2
    hook.status = 500
    answer = api.call("POST", "/channels/pager/test").get_json()
    assert answer == {"sent": False, "error": "answer 500"}


def test_test_message_to_an_internal_address_is_refused_unless_allowed(
    state: Engine, hook: Receiver
) -> None:
    api = by_role(state, hook, allow_internal=False)["administrator"]
    api.call("POST", "/channels", PAGER | {"settings": {"urls": [hook.url]}})
    answer = api.call("POST", "/channels/pager/test").get_json()
    assert answer["sent"] is False
    assert "internal" in answer["error"]
    assert hook.requests == []


def test_keys_of_a_browser_cannot_be_changed(state: Engine, api: Api) -> None:
    subscription = Browser("https://push.example.org/anna").subscription
    name = subscription.channel
    with writing(state) as connection:
        secrets = {**subscription._asdict(), "key": "confidential"}
        settings = {"contact": "mailto:ops@example.org"}
        channels.add(connection, VAULT, Stored(name, "webpush", settings, secrets))
    shown = api.call("GET", f"/channels/{name}").get_json()
    assert set(shown["secrets"].values()) == {"set"}
    field, _ = api.refused(400, "PATCH", f"/channels/{name}", {"secrets": {"auth": "x"}})
    assert field == "secrets"
    assert api.call("PATCH", f"/channels/{name}", {"is_default": False}).status_code == 200
    assert api.call("DELETE", f"/channels/{name}").status_code == 204


def test_only_administrators_can_read_and_change_channels(state: Engine, hook: Receiver) -> None:
    roles = by_role(state, hook)
    for role in ("ingest", "viewer", "operator"):
        for method, path in (
            ("GET", "/channels"),
            ("GET", "/channels/webhook"),
            ("POST", "/channels"),
            ("PATCH", "/channels/webhook"),
            ("DELETE", "/channels/webhook"),
            ("POST", "/channels/webhook/test"),
        ):
            roles[role].refused(403, method, path, PAGER)
    assert hook.requests == []
