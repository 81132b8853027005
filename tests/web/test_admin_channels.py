"""The administration page of channels."""

import html
from collections.abc import Iterator

import pytest
from flask import Flask

from monitor.channels import kinds
from monitor.channels.interface import SendFailed
from monitor.state import channels
from monitor.state.channels import BROWSER, Stored
from monitor.state.database import reading, writing
from monitor.state.routes import add as add_route
from monitor.state.routing import RouteRow
from monitor.vault import Vault
from tests.receiver import Receiver, receiver
from tests.web.administrator_app import administrator_of, assert_refused, build_administrator_app
from tests.web.fleet_rig import Rig
from tests.web.operator_app import NASTY, trail
from tests.web.visitors import Visitor

PATH = "/admin/channels"
VAULT = Vault("k" * 32)
SECRET = "confidential"


class OwnChannel:
    """A channel of the settings that fails to send."""

    name = "email"

    def send(self, message: object) -> None:
        """Raise SendFailed."""
        raise SendFailed(f"the server says {NASTY}", permanent=True)


@pytest.fixture
def app(rig: Rig) -> Flask:
    return build_administrator_app(rig, vault=VAULT, own_channels={"email": OwnChannel()})


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return administrator_of(app)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as listening:
        yield listening


def form(url: str, **others: str) -> dict[str, str]:
    given = {"kind": "webhook", "name": "hook", "settings.url": url, "enabled": "yes"}
    return given | {name.replace("__", "."): text for name, text in others.items()}


def stored(rig: Rig, name: str = "hook") -> Stored | None:
    with reading(rig.engine) as connection:
        return channels.find(connection, VAULT, name)


def test_channel_is_added_tested_changed_and_removed(
    rig: Rig, visitor: Visitor, hook: Receiver
) -> None:
    given = form(hook.url, secrets__signing_secret=SECRET, is_default="yes", budget="30")
    assert visitor.post(PATH, given, PATH).location == f"{PATH}?shown=hook"
    kept = stored(rig)
    assert kept is not None
    assert (kept.settings, kept.secrets) == ({"url": hook.url}, {"signing_secret": SECRET})
    assert (kept.enabled, kept.is_default, kept.budget) == (True, True, 30)
    visitor.post(f"{PATH}/hook/test", {}, PATH)
    assert len(hook.requests) == 1
    page = visitor.get(PATH).text
    assert "hook accepted the test message." in page
    assert "set; leave empty to keep it" in page
    assert SECRET not in page
    visitor.post(f"{PATH}/hook", form(f"{hook.url}/2"), PATH)
    kept = stored(rig)
    assert kept is not None
    assert (kept.settings, kept.secrets) == ({"url": f"{hook.url}/2"}, {"signing_secret": SECRET})
    assert (kept.is_default, kept.budget) == (False, None)
    visitor.post(f"{PATH}/hook", form(hook.url, drop__signing_secret="yes"), PATH)
    kept = stored(rig)
    assert kept is not None
    assert kept.secrets == {}
    assert visitor.post(f"{PATH}/hook/remove", {}, PATH).status_code == 400
    visitor.post(f"{PATH}/hook/remove", {"sure": "yes"}, PATH)
    assert stored(rig) is None
    whats = [what for _who, what, _of, _detail in trail(rig)]
    assert whats == ["channel removed", *["channel changed"] * 2, "channel created"]
    assert SECRET not in repr(trail(rig))


@pytest.mark.parametrize("kind", sorted(kinds.KINDS.keys() - {BROWSER}))
def test_form_has_the_settings_and_secrets_of_the_kind(visitor: Visitor, kind: str) -> None:
    page = visitor.get(f"{PATH}?kind={kind}").text
    described = kinds.KINDS[kind]
    for name in described.settings.__struct_fields__:
        assert f'name="settings.{name}"' in page
    for name in described.secrets.__struct_fields__:
        assert f'name="secrets.{name}" type="password" value=""' in page


def test_browser_and_unknown_kinds_have_no_form(visitor: Visitor) -> None:
    for kind in (BROWSER, "nonsense"):
        assert 'name="secrets.' not in visitor.get(f"{PATH}?kind={kind}").text
        assert visitor.post(PATH, {"kind": kind, "name": "x"}, PATH).status_code == 400


def test_error_of_a_test_message_is_shown_and_escaped(visitor: Visitor) -> None:
    answer = visitor.post(f"{PATH}/email/test", {}, PATH)
    error = html.escape(f"The test message to email was not sent: the server says {NASTY}")
    assert error in answer.text
    assert visitor.post(f"{PATH}/nothing/test", {}, PATH).status_code == 404


def test_channel_of_the_settings_cannot_be_changed(visitor: Visitor) -> None:
    page = visitor.get(PATH).text
    assert "from the settings" in page
    assert f'action="{PATH}/email"' not in page
    assert visitor.post(f"{PATH}/email", form("https://x.org"), PATH).status_code == 409
    assert visitor.post(f"{PATH}/email/remove", {"sure": "yes"}, PATH).status_code == 409


@pytest.mark.parametrize(
    ("others", "error"),
    [
        ({"name": "so so"}, "Name: "),
        ({"name": "browsers"}, "Name: "),
        ({"settings__url": ""}, "URL: "),
        ({"settings__url": "nonsense"}, "URL: "),
        ({"budget": "many"}, "Daily message limit: must be a whole number"),
        ({"budget": "0"}, "Daily message limit: must be a whole number"),
    ],
)
def test_invalid_input_is_refused_and_kept_in_the_form(
    rig: Rig, visitor: Visitor, others: dict[str, str], error: str
) -> None:
    given = form("https://hooks.example.org/1", **others)
    answer = visitor.post(PATH, given, PATH)
    assert answer.status_code == 400
    assert error in html.unescape(answer.text)
    for name in ("name", "settings.url", "budget"):
        if given.get(name):
            assert f'value="{given[name]}"' in answer.text
    assert 'name="enabled" value="yes" checked' in answer.text
    assert 'name="is_default" value="yes" checked' not in answer.text
    assert stored(rig) is None
    if "name" not in others:
        visitor.post(PATH, form("https://hooks.example.org/1"), PATH)
        answer = visitor.post(f"{PATH}/hook", given, PATH)
        assert answer.status_code == 400
        assert error in html.unescape(answer.text)
        assert answer.text.count('aria-invalid="true"') == 1


def test_checked_boxes_are_kept_when_another_field_is_invalid(visitor: Visitor) -> None:
    visitor.post(PATH, form("https://hooks.example.org/1", budget="30"), PATH)
    wrong = {"name": "other", "settings.url": "nonsense", "is_default": "yes", "budget": "40"}
    for path, kind in ((PATH, {"kind": "webhook"}), (f"{PATH}/hook", {})):
        page = visitor.post(path, wrong | kind, PATH).text
        assert page.count('name="is_default" value="yes" checked') == 1
        assert page.count('name="budget" value="40"') == 1
    assert 'name="enabled" value="yes" checked' not in page
    assert "daily message limit 30" in page


def test_channel_used_by_a_route_cannot_be_removed(rig: Rig, visitor: Visitor) -> None:
    visitor.post(PATH, form("https://hooks.example.org/1"), PATH)
    with writing(rig.engine) as connection:
        add_route(connection, RouteRow("night", [], ["hook"], [], None))
    assert "Used by routes: night" in visitor.get(PATH).text
    answer = visitor.post(f"{PATH}/hook/remove", {"sure": "yes"}, PATH)
    assert "Routes still use hook: night." in answer.text
    assert stored(rig) is not None


def test_only_administrators_can_change_channels(app: Flask) -> None:
    assert_refused(app, PATH, form("https://hooks.example.org/1"))
    for path in ("email", "email/test", "email/remove"):
        assert_refused(app, f"{PATH}/{path}", {"sure": "yes"})
