"""The administration page of public pages."""

import html
import re

import pytest
from flask import Flask

from monitor.model import SECOND
from monitor.state import audit, public_pages
from monitor.state.database import reading
from monitor.state.public_pages import PublicPage
from tests.web.complete_app import NASTY
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import BROWSER, Visitor, add_user, logged_in

PATH = "/admin/public"


@pytest.fixture
def app(rig: Rig) -> Flask:
    for role in ("viewer", "operator", "administrator"):
        add_user(rig.engine, role, role)
    for mac, site in ((1, "Cellar"), (2, NASTY)):
        rig.configure(mac, name="Boiler", site=site)
        rig.beat(mac)
    rig.judge()
    return rig.build_app(base_url=BASE, local=False)


@pytest.fixture
def anna(app: Flask) -> Visitor:
    return logged_in(app, "administrator")


def stored_pages(rig: Rig) -> list[PublicPage]:
    with reading(rig.engine) as connection:
        return public_pages.listed(connection)


def trail(rig: Rig) -> list[tuple[str, str, dict[str, object]]]:
    with reading(rig.engine) as connection:
        return [(one.what, one.subject, one.detail) for one in audit.listed(connection, 9)]


def test_page_is_created_and_its_link_is_shown_again(rig: Rig, app: Flask, anna: Visitor) -> None:
    form = {"title": "Our plants", "site": "Cellar", "names": "yes"}
    answer = anna.post(PATH, form, PATH)
    assert answer.status_code == 303
    (page,) = stored_pages(rig)
    assert (page.title, page.sites, page.names) == ("Our plants", ["Cellar"], True)
    for _ in range(2):
        assert f">{BASE}/public/{page.key}</code>" in anna.get(PATH).text
    assert Visitor(app).get(f"/public/{page.key}").status_code == 200
    detail = {"title": "Our plants", "sites": ["Cellar"], "names": True}
    assert trail(rig) == [("public page created", "Our plants", detail)]


def test_page_is_changed_gets_a_new_link_and_is_removed(
    rig: Rig, app: Flask, anna: Visitor
) -> None:
    anna.post(PATH, {"title": "Plants", "all": "yes"}, PATH)
    (page,) = stored_pages(rig)
    anna.post(f"{PATH}/{page.id}", {"title": "Plants", "site": NASTY}, PATH)
    assert stored_pages(rig) == [page._replace(sites=[NASTY])]
    anna.post(f"{PATH}/{page.id}/link", {}, PATH)
    (renewed,) = stored_pages(rig)
    assert Visitor(app).get(f"/public/{page.key}").status_code == 404
    assert Visitor(app).get(f"/public/{renewed.key}").status_code == 200
    anna.post(f"{PATH}/{page.id}/remove", {}, PATH)
    assert stored_pages(rig) == []
    rig.clock.ahead += SECOND
    assert Visitor(app).get(f"/public/{renewed.key}").status_code == 404
    assert [what for what, _, _ in trail(rig)] == [
        "public page removed",
        "public page's link replaced",
        "public page changed",
        "public page created",
    ]
    assert trail(rig)[2][2] == {"sites": {"from": None, "to": [NASTY]}}
    assert page.key not in str(trail(rig))


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"title": " ", "all": "yes"}, "Title: must be"),
        ({"title": "x" * 101, "site": "Cellar", "names": "yes"}, "Title: must be"),
        ({"title": NASTY}, "Sites: must include at least one site"),
    ],
)
def test_invalid_field_is_reported_and_input_is_kept(
    rig: Rig, anna: Visitor, form: dict[str, str], error: str
) -> None:
    answer = anna.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert error in answer.text
    assert stored_pages(rig) == []
    anna.post(PATH, {"title": "Plants", "all": "yes"}, PATH)
    (page,) = stored_pages(rig)
    again = anna.post(f"{PATH}/{page.id}", form, PATH)
    assert again.status_code == 400
    assert "<details open>" in again.text
    assert stored_pages(rig) == [page]
    for text in (answer.text, again.text):
        titles = [html.unescape(title) for title in re.findall(r'name="title" value="(.*?)"', text)]
        assert form["title"] in titles
        ticked = re.findall(r'name="(all|site|names)" value="[^"]*" checked', text)
        assert set(form) - {"title"} <= set(ticked)
        assert "<script>alert" not in text


def test_selected_site_without_sensors_is_still_listed(rig: Rig, anna: Visitor) -> None:
    anna.post(PATH, {"title": "Plants", "site": "Cellar"}, PATH)
    rig.configure(1, site=None)
    assert 'value="Cellar" checked' in anna.get(PATH).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_can_create_and_see_links(
    rig: Rig, app: Flask, anna: Visitor, role: str
) -> None:
    anna.post(PATH, {"title": "Plants", "all": "yes"}, PATH)
    (page,) = stored_pages(rig)
    other = logged_in(app, role)
    assert other.get(PATH).status_code == 403
    for path in (PATH, *(f"{PATH}/{page.id}{what}" for what in ("", "/link", "/remove"))):
        assert other.post(path, {"title": "Mine", "all": "yes"}).status_code == 403
    assert stored_pages(rig) == [page]


def test_request_without_csrf_token_or_from_another_site_is_refused(
    rig: Rig, anna: Visitor
) -> None:
    for headers in (BROWSER, {**BROWSER, "Origin": "https://elsewhere.example"}):
        token = anna.token(PATH) if "Origin" in headers else "x"
        form = {"title": "Plants", "all": "yes", "csrf_token": token}
        answer = anna.client.post(PATH, data=form, headers=headers, base_url=BASE)
        assert answer.status_code in (400, 403)
    assert stored_pages(rig) == []


def test_unknown_page_returns_404(anna: Visitor) -> None:
    for what in ("", "/link", "/remove"):
        answer = anna.post(f"{PATH}/7{what}", {"title": "Plants", "all": "yes"}, PATH)
        assert answer.status_code == 404


def test_page_offers_badges_of_the_fleet_and_of_each_site(app: Flask, anna: Visitor) -> None:
    page = anna.get(PATH).text
    paths = re.findall(r'<img src="(/badge/[^"]+)"', page)
    labels = [re.search("<title>(.*?):", app.test_client().get(path).text) for path in paths]
    assert [label and html.unescape(label[1]) for label in labels] == ["sensors", NASTY, "Cellar"]
