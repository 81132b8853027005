"""Administrators make public pages, change them, and end their links."""

import html
import re

import pytest
from flask import Flask

from monitor.model import SECOND
from monitor.state import audit, public_pages
from monitor.state.database import reading
from monitor.state.public_pages import PublicPage
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import BROWSER, Visitor, add_user, logged_in
from tests.web.whole import NASTY

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


def made(rig: Rig) -> list[PublicPage]:
    with reading(rig.engine) as connection:
        return public_pages.listed(connection)


def trail(rig: Rig) -> list[tuple[str, str, dict[str, object]]]:
    with reading(rig.engine) as connection:
        return [(one.what, one.subject, one.detail) for one in audit.listed(connection, 9)]


def test_a_page_is_made_and_its_link_can_be_copied_again(
    rig: Rig, app: Flask, anna: Visitor
) -> None:
    form = {"title": "Our plants", "site": "Cellar", "names": "yes"}
    answer = anna.post(PATH, form, PATH)
    assert answer.status_code == 303
    (page,) = made(rig)
    assert (page.title, page.sites, page.names) == ("Our plants", ["Cellar"], True)
    for _ in range(2):
        assert f">{BASE}/public/{page.key}</code>" in anna.get(PATH).text
    assert Visitor(app).get(f"/public/{page.key}").status_code == 200
    detail = {"title": "Our plants", "sites": ["Cellar"], "names": True}
    assert trail(rig) == [("public page created", "Our plants", detail)]


def test_a_page_is_changed_given_a_new_link_and_removed(
    rig: Rig, app: Flask, anna: Visitor
) -> None:
    anna.post(PATH, {"title": "Plants", "all": "yes"}, PATH)
    (page,) = made(rig)
    anna.post(f"{PATH}/{page.id}", {"title": "Plants", "site": NASTY}, PATH)
    assert made(rig) == [page._replace(sites=[NASTY])]
    anna.post(f"{PATH}/{page.id}/link", {}, PATH)
    (renewed,) = made(rig)
    assert Visitor(app).get(f"/public/{page.key}").status_code == 404
    assert Visitor(app).get(f"/public/{renewed.key}").status_code == 200
    anna.post(f"{PATH}/{page.id}/remove", {}, PATH)
    assert made(rig) == []
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
    ("form", "told"),
    [
        ({"title": " ", "all": "yes"}, "Title: must be"),
        ({"title": "x" * 101, "site": "Cellar", "names": "yes"}, "Title: must be"),
        ({"title": NASTY}, "Sites: must include at least one site"),
    ],
)
def test_what_is_wrong_is_told_and_what_was_typed_stays(
    rig: Rig, anna: Visitor, form: dict[str, str], told: str
) -> None:
    answer = anna.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert told in answer.text
    assert made(rig) == []
    anna.post(PATH, {"title": "Plants", "all": "yes"}, PATH)
    (page,) = made(rig)
    again = anna.post(f"{PATH}/{page.id}", form, PATH)
    assert again.status_code == 400
    assert "<details open>" in again.text
    assert made(rig) == [page]
    for text in (answer.text, again.text):
        titles = [html.unescape(title) for title in re.findall(r'name="title" value="(.*?)"', text)]
        assert form["title"] in titles
        ticked = re.findall(r'name="(all|site|names)" value="[^"]*" checked', text)
        assert set(form) - {"title"} <= set(ticked)
        assert "<script>alert" not in text


def test_a_site_without_sensors_by_now_can_still_be_seen_to_be_chosen(
    rig: Rig, anna: Visitor
) -> None:
    anna.post(PATH, {"title": "Plants", "site": "Cellar"}, PATH)
    rig.configure(1, site=None)
    assert 'value="Cellar" checked' in anna.get(PATH).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_no_one_else_may_make_or_see_links(rig: Rig, app: Flask, anna: Visitor, role: str) -> None:
    anna.post(PATH, {"title": "Plants", "all": "yes"}, PATH)
    (page,) = made(rig)
    other = logged_in(app, role)
    assert other.get(PATH).status_code == 403
    for path in (PATH, *(f"{PATH}/{page.id}{what}" for what in ("", "/link", "/remove"))):
        assert other.post(path, {"title": "Mine", "all": "yes"}).status_code == 403
    assert made(rig) == [page]


def test_without_our_own_forms_token_nothing_is_done(rig: Rig, anna: Visitor) -> None:
    for headers in (BROWSER, {**BROWSER, "Origin": "https://elsewhere.example"}):
        token = anna.token(PATH) if "Origin" in headers else "x"
        form = {"title": "Plants", "all": "yes", "csrf_token": token}
        answer = anna.client.post(PATH, data=form, headers=headers, base_url=BASE)
        assert answer.status_code in (400, 403)
    assert made(rig) == []


def test_there_is_no_page_of_a_number_never_given(anna: Visitor) -> None:
    for what in ("", "/link", "/remove"):
        answer = anna.post(f"{PATH}/7{what}", {"title": "Plants", "all": "yes"}, PATH)
        assert answer.status_code == 404


def test_badges_of_the_fleet_and_of_each_site_are_offered(app: Flask, anna: Visitor) -> None:
    page = anna.get(PATH).text
    paths = re.findall(r'<img src="(/badge/[^"]+)"', page)
    labels = [re.search("<title>(.*?):", app.test_client().get(path).text) for path in paths]
    assert [label and html.unescape(label[1]) for label in labels] == ["sensors", NASTY, "Cellar"]
